"""Matching: the change of order of one model's units that brings it nearest to another's.

Groups within other groups, as the channels of each attention head, are matched together with them: heads
are assigned by the best value their channels can reach for each pair of heads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from landscape.core.ambient import under_own_context
from landscape.core.linalg.reductions import inner_product, length
from landscape.core.symmetry.groups import TensorBlock
from landscape.core.symmetry.slice_products import Gains, SliceProducts, changes
from landscape.core.symmetry.symmetry import Motion, Symmetry, move
from landscape.core.symmetry.trees import trees

__all__ = ["Matching", "assign", "compose", "match_weights"]

_LEAST = 1e-12  # relative; below it a gain of the objective is rounding


@dataclass(frozen=True)
class Matching:
    """The motion found.

    Attributes:
        motion: By number of the group.
        sweeps: Passes over all groups.
        converged: Whether the last one changed nothing.
    """

    motion: dict[int, Tensor]
    sweeps: int
    converged: bool


def assign(
    symmetry: Symmetry, tree: tuple[int, ...], gains: Gains, rotate: bool
) -> tuple[float, dict[int, Tensor]]:
    """The motion of a tree that gains most, and how much it gains.

    Reference:
        Ainsworth et al. (2023), section 3.2: a linear assignment per group; rotations by the polar factor.
    """
    value, found = _assign(symmetry, tree, {n: g.numpy() for n, g in gains.items()}, rotate, tree[0], ())
    return value, {n: torch.from_numpy(m) for n, m in found.items() if symmetry.groups[n].free}


def _assign(
    symmetry: Symmetry,
    tree: tuple[int, ...],
    gains: Mapping[int, npt.NDArray[np.float64]],
    rotate: bool,
    number: int,
    at: tuple[int, ...],
) -> tuple[float, dict[int, npt.NDArray[np.generic]]]:
    """The best motion of one group, and of those within it, at one pair of positions of the outer groups."""
    group = symmetry.groups[number]
    n = group.size
    table = gains[number][at].copy() if number in gains else np.zeros((n, n))
    if rotate and group.linear:  # orthogonal Procrustes: the trace of RᵀG is largest, Σs, at R = UVᵀ
        u, s, vt = np.linalg.svd(table)
        return float(s.sum()), {number: u @ vt}
    inner = [c for c in tree if symmetry.groups[c].within[-1:] == (number,)]
    below: dict[tuple[int, int], dict[int, npt.NDArray[np.generic]]] = {}
    # What it is worth to put outer position j in the place of i depends on how well the groups within them
    # can be matched then: their own assignments are solved first, n² of each.
    for i, j in np.ndindex(n, n) if inner else ():
        if group.free or i == j:
            below[i, j] = {}
            for child in inner:
                value, found = _assign(symmetry, tree, gains, rotate, child, (*at, i, j))
                table[i, j] += value
                below[i, j] |= found
    columns = linear_sum_assignment(table, maximize=True)[1] if group.free else np.arange(n)
    chosen = [below.get((i, j), {}) for i, j in enumerate(columns)]
    nested = {c: np.stack([found[c] for found in chosen]) for c in chosen[0]}
    return float(table[np.arange(n), columns].sum()), {number: columns, **nested}


def compose(symmetry: Symmetry, first: Motion, then: Motion) -> dict[int, Tensor]:
    """One motion after another."""
    result = {}
    for number, old in first.items():
        # The old motion is itself a tensor with axes (outer groups..., own): where `then` moves the outer
        # groups, its rows move along. Mixed with a rotation, a permutation is written as its matrix.
        dims = (*symmetry.groups[number].within, number)
        block = TensorBlock((), dims, tuple(range(len(dims))), (), whole=True)
        step = then.get(number)
        if step is not None and step.is_floating_point() and not old.is_floating_point():
            old = torch.nn.functional.one_hot(old, old.shape[-1]).double()
        if old.is_floating_point() and step is not None and not step.is_floating_point():
            step = torch.nn.functional.one_hot(step, step.shape[-1]).double()
        changed = {**then, number: step} if step is not None else dict(then)
        result[number] = move(old, block, symmetry.groups, changed)
    return result


@under_own_context
def match_weights(
    symmetry: Symmetry,
    a: Mapping[str, Tensor],
    b: Mapping[str, Tensor],
    *,
    seed: int,
    sweeps: int,
    rotate: bool,
    start: bool = True,
) -> Matching:
    """Raise the sum of inner products of parameters by coordinate ascent over the groups.

    A group whose neighbours have not moved since its last visit cannot gain, and is passed over: the steps,
    and so the result, are those of whole sweeps.

    Args:
        symmetry: The groups.
        a: Parameters to match.
        b: Parameters to move, of the same names.
        seed: Decides the order of the groups in each sweep.
        sweeps: The most sweeps.
        rotate: Whether linear groups are rotated.
        start: Whether to look for a start, or to go on from the order that b has.

    Reference:
        Ainsworth et al. (2023), Git Re-Basin, algorithm 1.
    """
    forest = trees(symmetry)
    generator = np.random.default_rng(seed)
    motion, products = symmetry.identity(), SliceProducts(symmetry, forest, a, b)
    if start:
        before = products.objective()
        outward = _outward(symmetry, forest, products)
        # Models that begin alike, as by an initialisation with a structure, are aligned as they are: an
        # ascent from there never ends below where it would have been without any alignment.
        if products.objective() >= before:
            motion = outward
        else:
            products = SliceProducts(symmetry, forest, a, b)
    scale = sum(length(a[n].flatten()) * length(b[n].flatten()) for n in a)
    waiting = set(range(len(forest)))
    for sweep in range(1, sweeps + 1):
        changed = False
        for index in generator.permutation(len(forest)):
            if index not in waiting:
                continue
            waiting.discard(int(index))
            step = assign(symmetry, forest[index], products.gains(index), rotate)[1]
            if not any(map(changes, step.values())):
                continue
            moved, gain = products.moved(index, step)
            # Measured on the moved weights rather than taken from the assignment: a step is made only if the
            # objective truly rises by more than rounding, so that the ascent ends.
            if gain > _LEAST * scale:
                products.accept(index, step, moved)
                motion |= _composed(symmetry, forest[index], motion, step)
                changed = True
                waiting |= products.near(index)
        if not changed:
            return Matching(motion, sweep, True)
    return Matching(motion, sweeps, False)


def _composed(symmetry: Symmetry, tree: tuple[int, ...], motion: Motion, step: Motion) -> dict[int, Tensor]:
    """The motion of one tree after a step of it: those of other trees stay as they are."""
    return compose(symmetry, {n: motion[n] for n in tree if n in motion}, step)


def _outward(symmetry: Symmetry, forest: list[tuple[int, ...]], products: SliceProducts) -> dict[int, Tensor]:
    """A start for the ascent: groups one by one, each by the entries whose other groups are known.

    At first these are the entries next to inputs and outputs. Of a permuted copy this finds the permutation,
    where an ascent from any order can be caught by weights between two groups that are both out of order.
    """
    motion = symmetry.identity()
    waiting = list(range(len(forest)))
    unknown = set(symmetry.free)
    while waiting:
        index = waiting.pop(int(np.argmax([products.known(k, unknown) for k in waiting])))
        step = assign(symmetry, forest[index], products.gains(index, unknown), rotate=False)[1]
        products.accept(index, step, products.moved(index, step)[0])
        motion |= _composed(symmetry, forest[index], motion, step)
        unknown -= set(forest[index])
    return motion


def inner(a: Tensor, b: Tensor) -> float:
    """The inner product of two tensors, in float64."""
    return inner_product(a.flatten(), b.flatten())
