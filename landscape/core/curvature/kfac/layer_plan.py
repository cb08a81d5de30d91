"""Which layers have a Kronecker block, found out and held against autograd on one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from landscape.core.curvature.kfac.layer_uses import LayerUse, kind_of, watched_layers
from landscape.core.problem.problem import Problem
from landscape.core.seeds import seeded_generator
from landscape.errors import InputError

__all__ = ["Layer", "Plan", "plan_layers"]

CLOSE = 1e-3
"""How far what rows of a layer give may be from autograd's gradient, in float32; sound ones are at 1e-5."""


@dataclass(frozen=True)
class Layer:
    """A block: which parameters, and of which modules.

    Attributes:
        name: The first module's name, or a parameter's where a tied weight has other biases.
        kind: ``linear``, ``convolution``, ``embedding`` or ``norm``.
        members: Positions in θ of the weight, then the bias, as far as they are chosen.
        weight: Whether the weight is one of them.
        bias: Whether the bias is one of them.
        modules: The modules that use them.
    """

    name: str
    kind: str
    members: tuple[int, ...]
    weight: bool
    bias: bool
    modules: tuple[nn.Module, ...]

    def rows(self, uses: Sequence[LayerUse]) -> Tensor:
        """What the uses of one pass put in, (B, T, G, a); of an embedding tokens (B, T)."""
        found = [use.inputs(bias=self.bias) for use in uses]
        if not self.weight:
            found = [rows[..., -1:] for rows in found]  # the ones that a bias is multiplied by
        return torch.cat(found, 1)

    def slopes(self, uses: Sequence[LayerUse], gradients: Sequence[Tensor]) -> Tensor:
        """Gradients in what comes out, (B, T, G, s)."""
        return torch.cat([u.slopes(g) for u, g in zip(uses, gradients, strict=True)], 1)

    def of_scale(self, uses: Sequence[LayerUse], gradients: Sequence[Tensor]) -> Tensor:
        """Gradients by example in the entries of a norm (B, n), all calls added."""
        total: Tensor | float = 0.0
        for use, gradient in zip(uses, gradients, strict=True):
            both = [g.flatten(1) for g in use.of_scale(gradient)]
            total = total + torch.cat(
                [g for g, has in zip(both, (self.weight, self.bias), strict=True) if has], 1
            )
        assert isinstance(total, Tensor)
        return total

    def by_example(self, uses: Sequence[LayerUse], gradients: Sequence[Tensor]) -> Tensor:
        """Gradients by example as matrices (B, G, s, a)."""
        if self.kind == "norm":
            return self.of_scale(uses, gradients)[:, None, None, :]
        rows, slopes = self.rows(uses), self.slopes(uses, gradients)
        if self.kind == "embedding":
            rows = self.one_hot(rows, slopes)
        return torch.einsum("btgs,btga->bgsa", slopes, rows)

    def one_hot(self, tokens: Tensor, like: Tensor) -> Tensor:
        """Tokens (B, T) as rows (B, T, 1, V)."""
        table = self.modules[0]
        assert isinstance(table, nn.Embedding)
        return nn.functional.one_hot(tokens, table.num_embeddings).to(like.dtype)[:, :, None, :]


@dataclass(frozen=True)
class Plan:
    """What is done with each parameter.

    Attributes:
        layers: Those with a block made of rows.
        others: Positions of the parameters whose diagonal is found example by example.
        axes: Where each module has its examples.
    """

    layers: tuple[Layer, ...]
    others: tuple[int, ...]
    axes: dict[nn.Module, int]

    def by_layer(self, uses: Sequence[LayerUse]) -> list[tuple[Layer, list[int]]]:
        """The layers that fired in one pass, with the places of their uses."""
        for use in uses:
            use.axis = self.axes.get(use.module, 0)
        places = [
            (layer, [i for i, u in enumerate(uses) if u.module in layer.modules]) for layer in self.layers
        ]
        return [(layer, found) for layer, found in places if found]


def plan_layers(problem: Problem, *, apart: bool = True) -> Plan:
    """Find the layers of a problem, and hold what their rows give against autograd on its first batch.

    A weight that is used in any way that hooks do not see (tied to a layer of another kind, taken by a
    function, changed before use) does not pass, and counts among the others.

    Args:
        problem: The problem.
        apart: Whether examples have to be told apart within each layer; without it a layer's rows are only
            ever summed.

    Raises:
        InputError: If a layer mixes examples, or keeps them on another axis than the first two.
    """
    layers = _candidates(problem)
    batch = problem.first
    with torch.enable_grad(), watched_layers(problem) as uses:
        output, _ = problem.output(batch)
    if not isinstance(output, Tensor):
        raise InputError(
            f"KFAC needs a model (or forward=) that returns one tensor; got {type(output).__name__}."
        )
    if output.ndim < 1 or len(output) != batch.size:
        raise InputError(
            f"KFAC needs outputs with the {batch.size} examples on their first axis; got"
            f" {tuple(output.shape)}."
        )
    axes = _example_axes(problem, output, uses, batch.size) if apart else {}
    plan = Plan(tuple(layers), (), axes)
    probe = torch.randn(output.shape, generator=seeded_generator(0)).to(output)
    found: tuple[Tensor | None, ...] = (None,) * (len(problem.parameters) + len(uses))
    if output.requires_grad:
        found = torch.autograd.grad(
            output, [*problem.parameters, *(u.output for u in uses)], probe, allow_unused=True
        )
    wanted, slopes = found[: len(problem.parameters)], found[len(problem.parameters) :]
    fired = {layer.name: places for layer, places in plan.by_layer(uses)}
    sound = []
    for layer in layers:
        places = [i for i in fired.get(layer.name, []) if slopes[i] is not None]
        if _agrees(
            layer, [uses[i] for i in places], [slopes[i] for i in places], [wanted[i] for i in layer.members]
        ):
            sound.append(layer)
    inside = {i for layer in sound for i in layer.members}
    return Plan(tuple(sound), tuple(i for i in range(len(problem.parameters)) if i not in inside), axes)


def _candidates(problem: Problem) -> list[Layer]:
    """Layers by their modules, those that share a weight as one."""
    position = {id(p): i for i, p in enumerate(problem.parameters)}
    by_weight: dict[int, list[tuple[str, nn.Module]]] = {}
    for name, module in problem.module.named_modules():
        weight = getattr(module, "weight", None)
        if kind_of(module) and isinstance(weight, nn.Parameter):
            by_weight.setdefault(id(weight), []).append((name, module))
    layers = []
    for key, named in by_weight.items():
        modules = tuple(module for _, module in named)
        kinds = {kind_of(m) for m in modules}
        if len(kinds) > 1:
            continue
        kind, biases = kinds.pop(), {id(getattr(m, "bias", None)) for m in modules}
        weight = position.get(key)
        at = [position.get(id(getattr(m, "bias", None))) for m in modules]
        if len(biases) == 1:
            members = tuple(i for i in (weight, at[0]) if i is not None)
            if members:
                has = weight is not None, at[0] is not None
                layers.append(Layer(named[0][0] or "model", kind, members, *has, modules))
            continue
        if weight is not None:
            layers.append(Layer(problem.space.names[weight], kind, (weight,), True, False, modules))
        for i in sorted({i for i in at if i is not None}):
            users = tuple(m for m, j in zip(modules, at, strict=True) if i == j)
            layers.append(Layer(problem.space.names[i], kind, (i,), False, True, users))
    return sorted(layers, key=lambda layer: min(layer.members))


def _agrees(
    layer: Layer, uses: Sequence[LayerUse], slopes: Sequence[Tensor | None], wanted: Sequence[Tensor | None]
) -> bool:
    """Whether the rows of a layer give autograd's gradients."""
    if not uses:
        return False
    try:
        got = layer.by_example(uses, [s for s in slopes if s is not None]).sum(0)
    except RuntimeError:  # shapes that a subclass with a forward of its own may have
        return False
    flat = []
    for gradient in wanted:
        if gradient is None:
            return False
        matrix = gradient.mT[None] if layer.kind == "embedding" else gradient.reshape(*got.shape[:2], -1)
        flat.append(matrix)
    expected = torch.cat(flat, -1)
    close = CLOSE if got.dtype.itemsize < 8 else 1e-9
    return bool((got - expected).norm() <= close * expected.norm())


def _example_axes(
    problem: Problem, output: Tensor, uses: Sequence[LayerUse], size: int
) -> dict[nn.Module, int]:
    """The axis of examples of each module: the one on which the first example's slope stays with its own."""
    if size == 1 or not output.requires_grad or not uses:
        return {}
    one = torch.zeros_like(output)
    one[0] = torch.randn(output.shape[1:], generator=seeded_generator(1)).to(output)
    slopes = torch.autograd.grad(output, [u.output for u in uses], one, retain_graph=True, allow_unused=True)
    names = {module: name for name, module in problem.module.named_modules()}
    axes: dict[nn.Module, int] = {}
    for use, slope in zip(uses, slopes, strict=True):
        if slope is None:
            continue
        for axis in range(min(2, slope.ndim - 1)):
            if slope.shape[axis] == size == use.input.shape[axis] and not bool(
                slope.movedim(axis, 0)[1:].any()
            ):
                axes.setdefault(use.module, axis)
                break
        else:
            raise InputError(
                f"layer '{names[use.module]}' mixes the examples of a batch, or has them on no axis of its"
                f" own (its output is {tuple(slope.shape)} for {size} examples); KFAC needs them apart."
            )
    return axes
