"""Matching by activations: units are paired by the correlation of their features.

The features are what matrix products and convolutions put out and what they read: a unit before and after
its nonlinearity. A unit that never fires still has the former.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from landscape.core.ambient import under_own_context
from landscape.core.data.batches import tensors_in
from landscape.core.problem.private_model import fill
from landscape.core.symmetry.groups import TensorBlock
from landscape.core.symmetry.slice_products import Gains
from landscape.core.symmetry.symmetry import (
    Forward,
    Motion,
    Symmetry,
    TracedTensor,
    call_model,
    find_symmetry,
    fresh,
    move,
)
from landscape.core.symmetry.trace import arguments, plain_operations
from landscape.core.symmetry.trees import innermost, trees
from landscape.core.symmetry.weight_matching import Matching, assign
from landscape.errors import InputError

__all__ = ["match_activations"]


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps copies of features during a pass.

    Features are known by the number of their operation: the same model runs the same operations in the same
    order as when it was traced.
    """

    def __init__(self, features: Sequence[TracedTensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._requested: dict[int, list[str]] = {}
        for feature in features:
            self._requested.setdefault(feature.call, []).append(feature.argument)
        self.kept: dict[tuple[int, str], Tensor] = {}
        self._calls = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation and copy what is requested of its arguments and output."""
        requested = self._requested.get(self._calls, ())
        given = arguments(func, args, kwargs or {})
        # Arguments are copied before the operation, which may write to them.
        self.kept |= {(self._calls, name): given[name].clone() for name in requested if name in given}
        out = func(*args, **(kwargs or {}))
        if "" in requested:
            self.kept[self._calls, ""] = out.clone()
        self._calls += 1
        return out


@dataclass
class _Moments:
    """Sums over samples of two sets of features (m, samples), in float64."""

    count: int = 0
    sums: list[Tensor] = field(default_factory=list)

    def add(self, a: Tensor, b: Tensor) -> None:
        new = [a.sum(1), b.sum(1), (a * a).sum(1), (b * b).sum(1), a @ b.T]
        self.sums = [s + n for s, n in zip(self.sums, new, strict=True)] if self.sums else new
        self.count += a.shape[1]

    def correlation(self, unit: bool) -> Tensor:
        """Correlations (m, m); with ``unit`` false, covariances in units of the mean variance.

        A feature that is constant correlates with nothing.
        """
        mean_a, mean_b, square_a, square_b, cross = (s / self.count for s in self.sums)
        covariance = cross - torch.outer(mean_a, mean_b)
        a, b = square_a - mean_a**2, square_b - mean_b**2
        if not unit:
            a, b = a.mean().expand_as(a), b.mean().expand_as(b)
        # A variance this small beside the mean square is what rounding leaves of a constant feature.
        least = [1e-12 * s.mean().clamp(min=torch.finfo(torch.float64).tiny) for s in (square_a, square_b)]
        scale = torch.outer(a.clamp(min=0).sqrt(), b.clamp(min=0).sqrt())
        alive = torch.outer(a > least[0], b > least[1])
        return torch.where(alive, covariance / scale.clamp(min=torch.finfo(torch.float64).tiny), 0.0)


_Place = tuple[int, int, int]  # feature, block, innermost group


@under_own_context
def match_activations(
    module: nn.Module,
    symmetry: Symmetry,
    a: Mapping[str, Tensor],
    b: Mapping[str, Tensor],
    batches: Sequence[Any],
    *,
    forward: Forward | None,
    rotate: bool,
) -> tuple[Matching, float, float]:
    """Pair the units of two models by the correlation of their features over all samples and positions.

    A feature on which two groups stand, as channels and hidden units of a token mixer, serves one of them
    once the other is known: that takes another round over the data.

    Args:
        module: A copy of the model on the CPU, whose weights may be replaced.
        symmetry: The groups.
        a: State of the model that stays.
        b: State of the model that moves.
        batches: Inputs.
        forward: ``(model, inputs) -> output``.
        rotate: Whether linear groups are rotated.

    Returns:
        The matching, and the mean correlation of paired units before and after.

    Raises:
        InputError: If the two models do not run the same operations.

    Reference:
        Li et al. (2016), Convergent learning; Ainsworth et al. (2023), section 3.1.
    """
    observer = _Observer(module, symmetry, (a, b), batches, forward)
    # Each round matches the trees that have a feature of their own once what was matched before is in order.
    waiting, known = trees(symmetry), dict[int, Tensor]()
    rounds, units, before, after = 0, 0, 0.0, 0.0
    while waiting:
        gains = _gains(symmetry, observer.moments(waiting, known), rotate)
        ready = [tree for tree in waiting if gains.keys() & set(tree)]
        if not ready:
            break
        for tree in ready:
            part = {n: g for n, g in gains.items() if n in tree}
            value, found = assign(symmetry, tree, part, rotate)
            known |= found
            after += value
            before += sum(_paired(g) for g in part.values())
            units += sum(math.prod(symmetry.shape(n)) for n in part)
        waiting = [tree for tree in waiting if tree not in ready]
        rounds += 1
    return (
        Matching(symmetry.identity() | known, rounds, not waiting),
        before / max(units, 1),
        after / max(units, 1),
    )


class _Observer:
    """Runs two models on the same data and compares their features."""

    def __init__(
        self,
        module: nn.Module,
        symmetry: Symmetry,
        states: tuple[Mapping[str, Tensor], Mapping[str, Tensor]],
        batches: Sequence[Any],
        forward: Forward | None,
    ) -> None:
        self._module, self._symmetry, self._states = module, symmetry, states
        self._batches, self._forward = batches, forward
        self._features: dict[tuple[tuple[int, ...], ...], tuple[TracedTensor, ...]] = {}

    def moments(self, forest: Sequence[tuple[int, ...]], known: Motion) -> dict[_Place, _Moments]:
        """Moments of the features of some trees, where the other groups they stand on are fixed or known."""
        found: dict[_Place, _Moments] = {}
        for batch in self._batches:
            features = self._features_of(batch)
            pair = [self._record(state, features, batch) for state in self._states]
            for f, feature in enumerate(features):
                x, y = (kept.get((feature.call, feature.argument)) for kept in pair)
                if x is None or y is None or x.shape != y.shape:
                    raise InputError(
                        f"{type(self._module).__name__} runs other operations with the two states;"
                        " align by weights."
                    )
                for k, block in enumerate(feature.blocks):
                    for chain in self._clean_chains(forest, known, block):
                        moved = move(block.take(y), block, self._symmetry.groups, known)
                        place = (f, k, block.dims[chain[-1]])
                        rows = _rows(block.take(x), chain), _rows(moved, chain)
                        found.setdefault(place, _Moments()).add(*rows)
        return found

    def _features_of(self, batch: Any) -> tuple[TracedTensor, ...]:
        """The features of a batch, traced where its shapes are new."""
        shapes = _shapes(batch)
        if shapes not in self._features:
            again = find_symmetry(self._module, batch, forward=self._forward)
            kinds = [[(g.name, g.within, g.free) for g in s.groups] for s in (self._symmetry, again)]
            if kinds[0] != kinds[1] or len(self._symmetry.features) != len(again.features):
                raise InputError(
                    f"{type(self._module).__name__} has other symmetries for inputs of other shapes;"
                    " give batches of one shape."
                )
            self._features[shapes] = again.features
        return self._features[shapes]

    def _clean_chains(
        self, forest: Sequence[tuple[int, ...]], known: Motion, block: TensorBlock
    ) -> list[tuple[int, ...]]:
        """Axes of a block on which one of the trees stands while the others are fixed or known."""
        unknown = set(self._symmetry.free) - known.keys()
        here = [tree for tree in forest if set(tree) & set(block.dims)]
        chains = [chain for tree in here for chain in innermost(self._symmetry, tree, block)]
        return [c for c in chains if not unknown & {n for d, n in enumerate(block.dims) if d not in c}]

    @torch.no_grad()
    def _record(
        self, state: Mapping[str, Tensor], features: Sequence[TracedTensor], batch: Any
    ) -> dict[tuple[int, str], Tensor]:
        fill(self._module, state)
        # Counted as in the trace: the same fused kernels have to be off.
        recorder = _Recorder(features)
        inputs = fresh(batch, torch.device("cpu"))
        with plain_operations(self._module, []), recorder:
            call_model(self._module, inputs, self._forward)
        return recorder.kept


def _shapes(batch: Any) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(tensor.shape) for _, tensor in tensors_in(batch))


def _gains(symmetry: Symmetry, moments: Mapping[_Place, _Moments], rotate: bool) -> Gains:
    """The mean over features of their correlations, by innermost group."""
    gains: Gains = {}
    counts: dict[int, int] = {}
    for (_, _, number), moment in moments.items():
        shape = symmetry.shape(number)
        table = moment.correlation(unit=not (rotate and symmetry.groups[number].linear))
        order = [d + side * len(shape) for d in range(len(shape)) for side in (0, 1)]
        paired = table.reshape(*shape, *shape).permute(order)
        gains[number] = gains[number] + paired if number in gains else paired
        counts[number] = counts.get(number, 0) + 1
    return {n: table / counts[n] for n, table in gains.items()}


def _rows(entries: Tensor, chain: tuple[int, ...]) -> Tensor:
    front = entries.movedim(chain, tuple(range(len(chain))))
    return front.reshape(math.prod(front.shape[: len(chain)]), -1).double()


def _paired(gains: Tensor) -> float:
    """The sum over positions paired with themselves."""
    while gains.ndim:
        gains = gains.diagonal(dim1=0, dim2=1).sum(-1)
    return float(gains)
