"""Alignment: the units of one model put in the order of another's, its outputs unchanged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from landscape.core.ambient import under_own_context
from landscape.core.data.batches import Batch, tensors_in
from landscape.core.problem.private_model import fill, private_copy
from landscape.core.symmetry.activation_matching import match_activations
from landscape.core.symmetry.symmetry import Forward, Motion, Symmetry, call_model, find_symmetry, fresh
from landscape.core.symmetry.trees import trees
from landscape.core.symmetry.weight_matching import inner, match_weights
from landscape.errors import InputError, suggest

__all__ = ["Alignment", "Checked", "Method", "Traced", "align", "align_traced", "check_states", "trace_model"]

Method = Literal["weights", "activations"]

_FEW = 2  # examples of a trace
_LETTERS = "ab"  # what the models of a pair are called


@dataclass(frozen=True)
class Alignment:
    """A model aligned to another.

    Attributes:
        state: Parameters and buffers of b, moved.
        permutations: By name of the group: position i of the moved model was ``permutations[...][..., i]`` of
            b, shape (..., n), one row for each index of the groups it is within.
        rotations: By name of the group, likewise, (..., n, n).
        objective_before: By weights, the sum over the parameters that can move of ⟨a, b⟩; by activations,
            the mean correlation of paired units.
        objective_after: The same after the alignment.
        output_error: Largest difference of outputs of b and of the moved b, in units of the largest output.
        sweeps: Passes over all groups.
        converged: Whether the last one changed nothing.
        symmetry: The groups of the model.
    """

    state: dict[str, Tensor]
    permutations: dict[str, Tensor]
    rotations: dict[str, Tensor]
    objective_before: float
    objective_after: float
    output_error: float
    sweeps: int
    converged: bool
    symmetry: Symmetry


@under_own_context
def align(
    model: nn.Module,
    a: Mapping[str, Tensor],
    b: Mapping[str, Tensor],
    *,
    method: Method = "weights",
    inputs: Any,
    forward: Forward | None = None,
    seed: int = 0,
    sweeps: int = 100,
    rotate: bool = False,
) -> Alignment:
    """Put the units of b in the order of those of a.

    Args:
        model: The module both belong to; it is not changed.
        a: State of the model that stays.
        b: State of the model that moves. Buffers missing from either are those of ``model``.
        method: ``"weights"`` raises the sum of ⟨a, b⟩ over the parameters by coordinate ascent;
            ``"activations"`` assigns units by their correlations before and after the nonlinearity, where
            a unit that is constant on the data is paired with any other.
        inputs: A batch of the model's inputs (a tensor, a tuple of arguments, a mapping of keywords), or a
            list of batches. They trace the model, give the activations, and verify the result.
        forward: ``(model, inputs) -> output`` for models that are called in another way.
        seed: Decides the order of the groups.
        sweeps: The most passes over the groups.
        rotate: Whether axes on which only linear maps act, such as those of queries with keys and of values
            with outputs within a head, are rotated as well. That brings the weights nearer together; of
            independently trained transformers it does not always lower the barrier.

    Returns:
        The moved state of b, in b's device and dtype, and how it was moved.

    Raises:
        InputError: If a state does not fit the model, the model cannot be traced, or the moved model's
            outputs differ from b's.

    Reference:
        Ainsworth et al. (2023), Git Re-Basin: merging models modulo permutation symmetries.
    """
    _check_method(method)
    traced = trace_model(model, inputs, forward)
    return align_traced(traced, a, b, method=method, seed=seed, sweeps=sweeps, rotate=rotate)


@under_own_context
def align_traced(
    traced: Traced,
    a: Mapping[str, Tensor],
    b: Mapping[str, Tensor],
    *,
    method: Method = "weights",
    seed: int = 0,
    sweeps: int = 100,
    rotate: bool = False,
) -> Alignment:
    """As `align`, for several pairs of models of one architecture, which is copied and traced once.

    Args:
        traced: What `trace_model` gives.
        a: As in `align`, like all that follow.
        b: As there.
        method: As there.
        seed: As there.
        sweeps: As there.
        rotate: As there.

    Raises:
        InputError: As there.
    """
    _check_method(method)
    checked = traced.check((a, b))
    symmetry, names, batches, forward = traced.symmetry, traced.names, traced.batches, traced.forward
    a, b = checked.states
    pa, pb = ({n: s[n].detach().cpu() for n in names} for s in (a, b))
    if method == "weights":
        found = match_weights(symmetry, pa, pb, seed=seed, sweeps=sweeps, rotate=rotate)
        moved = symmetry.apply(found.motion, pb)
        before, after = (sum(inner(pa[n], p[n]) for n in names) for p in (pb, moved))
    else:
        module = private_copy(traced.module, (), torch.device("cpu"), None).eval()
        found, before, after = match_activations(
            module, symmetry, a, b, batches, forward=forward, rotate=rotate
        )
    return Alignment(
        state=symmetry.apply(found.motion, b),
        permutations=_named(symmetry, found.motion, rotations=False),
        rotations=_named(symmetry, found.motion, rotations=True),
        objective_before=before,
        objective_after=after,
        output_error=checked.verify(1, found.motion),
        sweeps=found.sweeps,
        converged=found.converged,
        symmetry=symmetry,
    )


def _check_method(method: str) -> None:
    if method not in get_args(Method):
        raise InputError(f"align has no method {method!r}; {suggest(str(method), get_args(Method))}")


@dataclass(frozen=True)
class Traced:
    """An architecture whose groups are known.

    Attributes:
        module: A copy of the model, whose weights may be replaced.
        own: The model's own state.
        symmetry: Its groups.
        names: Parameters that can move.
        batches: Batches of inputs.
        forward: As given.
    """

    module: nn.Module
    own: Mapping[str, Tensor]
    symmetry: Symmetry
    names: tuple[str, ...]
    batches: list[Any]
    forward: Forward | None

    def check(self, states: Sequence[Mapping[str, Tensor]]) -> Checked:
        """Some states of the model, made whole.

        Raises:
            InputError: If one does not fit.
        """
        names = [n for n, _ in self.module.named_parameters()]
        called = [_LETTERS[i] if i < len(_LETTERS) else f"{i + 1}" for i in range(len(states))]
        whole = (_state(self.own, names, s, which) for s, which in zip(states, called, strict=True))
        return Checked(**vars(self), states=tuple(whole))


@dataclass(frozen=True, kw_only=True)
class Checked(Traced):
    """Models that can be aligned, and what they are aligned by.

    Attributes:
        states: Full states.
    """

    states: tuple[dict[str, Tensor], ...]

    def verify(self, number: int, motion: Motion) -> float:
        """The error of the outputs of one of the models, moved.

        Raises:
            InputError: If it is more than rounding.
        """
        return _verify(self.module, self.symmetry, self.states[number], motion, self.batches, self.forward)


def check_states(
    model: nn.Module, states: Sequence[Mapping[str, Tensor]], inputs: Any, forward: Forward | None
) -> Checked:
    """What alignment needs of a model and some states of it.

    Raises:
        InputError: If a state does not fit the model, there are no inputs, or the model cannot be traced.
    """
    return trace_model(model, inputs, forward).check(states)


@under_own_context
def trace_model(model: nn.Module, inputs: Any, forward: Forward | None = None) -> Traced:
    """An architecture that states of it are aligned by, copied and traced: most of the time of a small pair.

    Args:
        model: The module; it is not changed.
        inputs: As in `align`.
        forward: As there.

    Raises:
        InputError: If there are no inputs, or the model cannot be traced.
    """
    batches = inputs if isinstance(inputs, list) else [inputs]
    if not batches:
        raise InputError("align needs at least one batch of inputs.")
    module = _copy_of(model)
    own = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
    symmetry = _symmetry_of(module, batches[0], forward)
    names = tuple(n for n, p in module.named_parameters() if _moves(symmetry, n) and p.is_floating_point())
    return Traced(module, own, symmetry, names, batches, forward)


def _copy_of(model: nn.Module) -> nn.Module:
    model = getattr(model, "_orig_mod", model)  # what torch.compile wraps
    first = next(model.parameters(), None)
    if first is None:
        raise InputError(f"{type(model).__name__} has no parameters to align.")
    return private_copy(model, (), first.device, None).eval()


def _symmetry_of(module: nn.Module, batch: Any, forward: Forward | None) -> Symmetry:
    """The groups, from two examples where the batch can be cut: traced passes are slow."""
    sizes = {tuple(tensor.shape[:1]) for _, tensor in tensors_in(batch)}
    size = max((n for shape in sizes for n in shape), default=0)
    if len(sizes) == 1 and size > _FEW:
        with suppress(InputError):  # inputs whose first axis is not that of the examples
            few = Batch(batch, batch, None, size).split(_FEW)[0].raw  # a batch without targets
            return find_symmetry(module, few, forward=forward)
    return find_symmetry(module, batch, forward=forward)


def _state(
    own: Mapping[str, Tensor], parameters: Sequence[str], given: Mapping[str, Tensor], which: str
) -> dict[str, Tensor]:
    """A full state: the given tensors, and the module's own buffers where none are given."""
    unknown = [name for name in given if name not in own]
    if unknown:
        raise InputError(
            f"state {which} holds '{unknown[0]}', which the model lacks; {suggest(unknown[0], own)}"
        )
    missing = [n for n in parameters if n not in given]
    if missing:
        raise InputError(f"state {which} lacks parameter '{missing[0]}' ({len(missing)} missing).")
    for name, tensor in given.items():
        if tensor.shape != own[name].shape:
            raise InputError(
                f"state {which}: '{name}' has shape {tuple(tensor.shape)}, not {tuple(own[name].shape)}."
            )
    return {name: given.get(name, tensor).detach().clone() for name, tensor in own.items()}


def _moves(symmetry: Symmetry, name: str) -> bool:
    return any(set(symmetry.free) & set(block.dims) for block in symmetry.blocks[name])


def _named(symmetry: Symmetry, motion: Motion, *, rotations: bool) -> dict[str, Tensor]:
    return {
        symmetry.groups[n].name: step for n, step in motion.items() if step.is_floating_point() == rotations
    }


def _verify(
    module: nn.Module,
    symmetry: Symmetry,
    b: Mapping[str, Tensor],
    motion: Motion,
    batches: list[Any],
    forward: Forward | None,
) -> float:
    """The error of the moved model's outputs; raises if it is more than rounding."""
    error, allowed = _output_error(module, b, symmetry.apply(motion, b), batches, forward)
    if error <= allowed:
        return error
    # Which units are to blame: each tree moved alone, the one that changes the outputs most.
    worst, guilty = 0.0, symmetry.groups[0]
    for tree in trees(symmetry):
        part = {n: motion[n] for n in tree if n in motion}
        alone = _output_error(module, b, symmetry.apply(part, b), batches, forward)[0]
        if alone >= worst:
            worst, guilty = alone, symmetry.groups[tree[0]]
    places = ", ".join(f"{name}[{axis}]" for name, axis in guilty.places[:6])
    raise InputError(
        f"{type(module).__name__} cannot be aligned: its outputs change by {error:.1e} of the largest when"
        f" units are permuted, most of all those of {guilty.name} (on {places})."
    )


@torch.no_grad()
def _output_error(
    module: nn.Module,
    before: Mapping[str, Tensor],
    after: Mapping[str, Tensor],
    batches: list[Any],
    forward: Forward | None,
) -> tuple[float, float]:
    """Largest difference of outputs in units of the largest output, and what rounding may cause."""
    error, allowed = 0.0, 0.0
    for batch in batches:
        outputs = []
        for state in (before, after):
            fill(module, state)
            outputs.append([t for _, t in tensors_in(call_model(module, fresh(batch), forward))])
        for x, y in zip(*outputs, strict=True):
            if x.is_floating_point():
                error = max(error, _difference(x, y))
                # Sums in another order differ by a few eps per layer; wrong permutations by far more.
                allowed = max(allowed, torch.finfo(x.dtype).eps ** 0.5)
    return error, allowed


def _difference(x: Tensor, y: Tensor) -> float:
    """Largest difference in units of the largest finite value; infinite where only one is NaN or infinite."""
    same = (x == y) | (x.isnan() & y.isnan())
    scale = x[x.isfinite()].abs().max().clamp(min=torch.finfo(x.dtype).tiny) if x.isfinite().any() else 1.0
    gap = torch.where(same, 0.0, (x - y).abs() / scale).nan_to_num(nan=float("inf"), posinf=float("inf"))
    return float(gap.max()) if gap.numel() else 0.0
