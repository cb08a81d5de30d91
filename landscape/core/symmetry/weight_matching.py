"""Matching: the change of order of one model's units that brings it nearest to another's.

Groups within other groups, as the channels of each attention head, are matched together with them: heads
are assigned by the best value their channels can reach for each pair of heads.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from landscape.core.ambient import under_own_context
from landscape.core.linalg.reductions import exact_products, inner_product, length
from landscape.core.symmetry.groups import TensorBlock
from landscape.core.symmetry.symmetry import Motion, Symmetry, move, outer_axes

__all__ = ["Matching", "accumulate", "assign", "compose", "match_weights", "trees"]

Gains = dict[int, Tensor]
"""By group: what each pair of positions adds to the objective, (m, m', ..., n, n'), outer groups first."""

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


def trees(symmetry: Symmetry) -> list[tuple[int, ...]]:
    """Groups that are matched together: an outermost one and those within it, outer ones first."""
    # Groups that are fixed but hold free ones within them count: their identity pairs the inner ones.
    needed = {n for free in symmetry.free for n in (*symmetry.groups[free].within, free)}
    found: dict[int, list[int]] = {}
    for number in sorted(needed):
        found.setdefault((*symmetry.groups[number].within, number)[0], []).append(number)
    return [tuple(sorted(t, key=lambda n: len(symmetry.groups[n].within))) for t in found.values()]


def accumulate(
    gains: Gains, symmetry: Symmetry, tree: Iterable[int], block: TensorBlock, a: Tensor, b: Tensor
) -> None:
    """Add the inner products of a block's slices, those of a with those of b, to the gains of a tree."""
    for chain in innermost(symmetry, tree, block):
        shape = tuple(block.shape[k] for k in chain)
        columns = a.numel() // max(math.prod(shape), 1)  # a parameter may be empty
        rows = [t.movedim(chain, tuple(range(len(chain)))).reshape(math.prod(shape), columns) for t in (a, b)]
        products = exact_products(rows[0], rows[1]).reshape(*shape, *shape)
        # From (m, n, ..., m', n', ...) to (m, m', n, n', ...): `assign` reads a pair of positions at a time.
        order = [k + side * len(chain) for k in range(len(chain)) for side in (0, 1)]
        add_gain(gains, block.dims[chain[-1]], products.permute(order))


def add_gain(gains: Gains, number: int, products: Tensor) -> None:
    """Add to the gains of one group."""
    gains[number] = gains[number] + products if number in gains else products


def innermost(symmetry: Symmetry, tree: Iterable[int], block: TensorBlock) -> list[tuple[int, ...]]:
    """Axes of a block on which a tree stands: for each innermost group its outer axes and its own."""
    members = set(tree)
    chains = [(*outer_axes(symmetry.groups, block, k), k) for k, n in enumerate(block.dims) if n in members]
    return [c for c in chains if not any(c[-1] in other[:-1] for other in chains)]


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
    motion, current = symmetry.identity(), dict(b)
    if start:
        outward = _outward(symmetry, a, b)
        moved = symmetry.apply(outward, b)
        # Models that begin alike, as by an initialisation with a structure, are aligned as they are: an
        # ascent from there never ends below where it would have been without any alignment.
        if sum(inner(a[n], moved[n]) for n in a) >= sum(inner(a[n], b[n]) for n in a):
            motion, current = outward, moved
    scale = sum(length(a[n].flatten()) * length(b[n].flatten()) for n in a)
    blocks_of = [_known_blocks(symmetry, tree, a, set())[0] for tree in forest]
    stirred = _stirred(symmetry, forest, blocks_of)
    waiting = set(range(len(forest)))
    for sweep in range(1, sweeps + 1):
        changed = False
        for index in generator.permutation(len(forest)):
            if index not in waiting:
                continue
            waiting.discard(int(index))
            tree, blocks = forest[index], blocks_of[index]
            names = list(dict.fromkeys(name for name, _ in blocks))
            step = _best_step(symmetry, tree, a, current, blocks, rotate)
            if _stays(step):
                continue
            moved = symmetry.apply(step, {n: current[n] for n in names})
            # Measured on the moved weights rather than taken from the assignment: a step is made only if the
            # objective truly rises by more than rounding, so that the ascent ends.
            gain = sum(inner(a[n], moved[n]) - inner(a[n], current[n]) for n in names)
            if gain > _LEAST * scale:
                current |= moved
                motion = compose(symmetry, motion, step)
                changed = True
                waiting |= stirred[index]
        if not changed:
            return Matching(motion, sweep, True)
    return Matching(motion, sweeps, False)


def _stays(step: Motion) -> bool:
    """Whether a motion changes nothing."""
    return all(
        not index.is_floating_point() and bool((index == torch.arange(index.shape[-1])).all())
        for index in step.values()
    )


def _stirred(
    symmetry: Symmetry,
    forest: list[tuple[int, ...]],
    blocks_of: list[list[tuple[str, TensorBlock]]],
) -> list[set[int]]:
    """By tree, the trees that may gain once it has moved: those that share a block of entries with it.

    It is itself one of them where it stands twice on a block, as the units of a residual stream do on a
    convolution from the stream into itself: its best step is found with one side held.
    """
    home = {number: index for index, tree in enumerate(forest) for number in tree}
    found: list[set[int]] = []
    for index, (tree, blocks) in enumerate(zip(forest, blocks_of, strict=True)):
        near = {home[n] for _, block in blocks for n in block.dims if n in home} - {index}
        if any(len(innermost(symmetry, tree, block)) > 1 for _, block in blocks):
            near.add(index)
        found.append(near)
    return found


def _outward(symmetry: Symmetry, a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> dict[int, Tensor]:
    """A start for the ascent: groups one by one, each by the entries whose other groups are known.

    At first these are the entries next to inputs and outputs. Of a permuted copy this finds the permutation,
    where an ascent from any order can be caught by weights between two groups that are both out of order.
    """
    motion, current = symmetry.identity(), dict(b)
    waiting = trees(symmetry)
    unknown = set(symmetry.free)
    while waiting:
        usable = [_known_blocks(symmetry, tree, a, unknown - set(tree)) for tree in waiting]
        best = max(range(len(waiting)), key=lambda k: usable[k][1])
        tree = waiting.pop(best)
        step = _best_step(symmetry, tree, a, current, usable[best][0], rotate=False)
        current = symmetry.apply(step, current)
        motion = compose(symmetry, motion, step)
        unknown -= set(tree)
    return motion


def _known_blocks(
    symmetry: Symmetry, tree: tuple[int, ...], a: Mapping[str, Tensor], unknown: set[int]
) -> tuple[list[tuple[str, TensorBlock]], float]:
    """The blocks of a tree without unknown groups, and their share of all its entries."""
    mine = [(n, block) for n in a for block in symmetry.blocks[n] if set(tree) & set(block.dims)]
    known = [(n, block) for n, block in mine if not unknown & set(block.dims)]
    entries = [sum(math.prod(block.shape) for _, block in part) for part in (known, mine)]
    return known, entries[0] / entries[1] if entries[1] else 1.0  # parameters without entries


def _best_step(
    symmetry: Symmetry,
    tree: tuple[int, ...],
    a: Mapping[str, Tensor],
    b: Mapping[str, Tensor],
    blocks: Iterable[tuple[str, TensorBlock]],
    rotate: bool,
) -> dict[int, Tensor]:
    gains: Gains = {}
    for name, block in blocks:
        accumulate(gains, symmetry, tree, block, block.take(a[name]), block.take(b[name]))
    return assign(symmetry, tree, gains, rotate)[1]


def inner(a: Tensor, b: Tensor) -> float:
    """The inner product of two tensors, in float64."""
    return inner_product(a.flatten(), b.flatten())
