"""Inner products of the slices of two models along each tree of groups, kept until their entries change.

A step of one tree changes the products of another only where the two stand on the same block of entries; its
own it reorders. The rest stays, so that late sweeps of an ascent cost little.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from landscape.core.linalg.reductions import exact_products, inner_product
from landscape.core.symmetry.groups import TensorBlock
from landscape.core.symmetry.symmetry import Motion, Symmetry, move
from landscape.core.symmetry.trees import innermost

__all__ = ["Gains", "SliceProducts", "changes"]

Gains = dict[int, Tensor]
"""By group: what each pair of positions adds to the objective, (m, m', ..., n, n'), outer groups first."""

KEPT = 1 << 26
"""Products that are kept at most, half a gigabyte; beyond, they are computed again at each visit."""

_FEW = 0.5
"""Share of the columns up to which products are updated rather than computed again."""


def changes(index: Tensor) -> bool:
    """Whether a permutation (..., n) or rotation (..., n, n) is more than the identity; rotations always."""
    return index.is_floating_point() or not bool((index == torch.arange(index.shape[-1])).all())


@dataclass(eq=False)
class _Part:
    """Slices of several blocks along the same groups of a tree, beside the same groups of other trees.

    Attributes:
        number: The innermost group.
        dims: The outer groups and it.
        shape: Their sizes.
        members: Blocks, each with its axes of these groups.
        others: Free groups of other trees that stand on the blocks.
        own: Groups of the tree that stand on other axes of the blocks.
        products: Inner products (*shape, *shape), a's slices by b's, as far as they are known.
    """

    number: int
    dims: tuple[int, ...]
    shape: tuple[int, ...]
    members: list[tuple[int, tuple[int, ...]]]
    others: frozenset[int]
    own: frozenset[int]
    products: Tensor | None = None


class SliceProducts:
    """Two models cut into blocks, the second of which moves.

    Args:
        symmetry: The groups.
        forest: Trees of groups.
        a: Parameters that stay.
        b: Parameters of the same names that move.
    """

    def __init__(
        self,
        symmetry: Symmetry,
        forest: list[tuple[int, ...]],
        a: Mapping[str, Tensor],
        b: Mapping[str, Tensor],
    ) -> None:
        self._symmetry = symmetry
        self._forest = forest
        self._a: list[Tensor] = []
        self._b: list[Tensor] = []
        self._blocks: list[TensorBlock] = []
        self._kept = 0
        self._home = home = {number: index for index, tree in enumerate(forest) for number in tree}
        self._on: list[list[int]] = [[] for _ in forest]  # blocks by tree
        self._stands: list[list[tuple[frozenset[int], int]]] = [
            [] for _ in forest
        ]  # beside what, and entries
        self._parts: list[list[_Part]] = [[] for _ in forest]
        self._beside: dict[int, list[_Part]] = {}  # parts by the groups of other trees on them
        free = set(symmetry.free)
        for name in a:
            for block in symmetry.blocks[name]:
                here = {home[n] for n in block.dims if n in home}
                for index in here:
                    self._on[index].append(len(self._blocks))
                    size = math.prod(block.shape)
                    self._stands[index].append((frozenset(block.dims) - set(forest[index]), size))
                    others = frozenset(n for n in block.dims if n in free and home[n] != index)
                    self._join(index, block, others)
                if here:
                    self._blocks.append(block)
                    self._a.append(block.take(a[name]))
                    self._b.append(block.take(b[name]))

    def _join(self, index: int, block: TensorBlock, others: frozenset[int]) -> None:
        """Enter the next block with the parts of a tree."""
        for chain in innermost(self._symmetry, self._forest[index], block):
            dims, shape = (tuple(of[k] for k in chain) for of in (block.dims, block.shape))
            member = (len(self._blocks), chain)
            rest = {n for k, n in enumerate(block.dims) if k not in chain}
            own = frozenset(rest & set(self._forest[index]))
            for part in self._parts[index]:
                if (part.dims, part.others, part.own) == (dims, others, own):
                    part.members.append(member)
                    break
            else:
                part = _Part(dims[-1], dims, shape, [member], others, own)
                self._parts[index].append(part)
                for number in others:
                    self._beside.setdefault(number, []).append(part)

    def known(self, index: int, unknown: set[int]) -> float:
        """The share of a tree's entries that stand on no group of another tree that is unknown."""
        total = sum(size for _, size in self._stands[index])
        known = sum(size for dims, size in self._stands[index] if dims.isdisjoint(unknown))
        return known / total if total else 1.0  # parameters without entries

    def objective(self) -> float:
        """The sum of inner products of all that can move."""
        return sum(map(_inner, self._a, self._b))

    def near(self, index: int) -> set[int]:
        """The trees that may gain once a tree has moved: those that share a block of entries with it.

        It is itself one of them where it stands twice on a block, as the units of a residual stream do on a
        convolution from the stream into itself: its best step is found with one side held.
        """
        home = self._home
        found = {home[n] for k in self._on[index] for n in self._blocks[k].dims if n in home} - {index}
        return found | ({index} if any(part.own for part in self._parts[index]) else set())

    def gains(self, index: int, unknown: Iterable[int] = ()) -> Gains:
        """The gains of a tree, of all blocks or of those without unknown groups of other trees."""
        found: Gains = {}
        for part in self._parts[index]:
            if part.others.isdisjoint(unknown):
                products = self._products(part)
                if part.number in found:
                    found[part.number] += products
                else:
                    found[part.number] = products.clone()
        return {n: _paired(products) for n, products in found.items()}

    def moved(self, index: int, step: Motion) -> tuple[dict[int, Tensor], float]:
        """The blocks that a step of a tree moves, moved, and what the objective gains."""
        numbers = {n for n, s in step.items() if changes(s)}
        groups = self._symmetry.groups
        there = {
            k: move(self._b[k], self._blocks[k], groups, step)
            for k in self._on[index]
            if numbers & set(self._blocks[k].dims)
        }
        gain = sum(_inner(self._a[k], t) - _inner(self._a[k], self._b[k]) for k, t in there.items())
        return there, gain

    def accept(self, index: int, step: Motion, moved: Mapping[int, Tensor]) -> None:
        """Go on with moved blocks."""
        before = {k: self._b[k] for k in moved}
        for k, entries in moved.items():
            self._b[k] = entries
        numbers = {n for n, s in step.items() if changes(s)}
        for part in {p for n in numbers for p in self._beside.get(n, ())}:
            self._update(part, before)
        for part in self._parts[index]:
            if numbers & part.own or any(step[n].is_floating_point() for n in numbers & set(part.dims)):
                self._forget(part)
            elif part.products is not None and numbers & set(part.dims):
                # The slices of b in another order: no product is another.
                places = torch.arange(math.prod(part.shape))
                chain = TensorBlock((), part.dims, tuple(range(len(part.dims))), part.shape, whole=True)
                order = move(places.reshape(part.shape), chain, self._symmetry.groups, step).flatten()
                other = (order != places).nonzero()[:, 0]
                table = part.products.reshape(len(places), len(places))
                table[:, other] = table[:, order[other]]

    def _products(self, part: _Part) -> Tensor:
        if part.products is not None:
            return part.products
        rows = [torch.cat([_rows(of[k], axes) for k, axes in part.members], 1) for of in (self._a, self._b)]
        products = exact_products(rows[0], rows[1]).reshape(*part.shape, *part.shape)
        if self._kept + products.numel() <= KEPT:
            self._kept += products.numel()
            part.products = products
        return products

    def _update(self, part: _Part, before: Mapping[int, Tensor]) -> None:
        """Follow the entries of b, which were others before: a late step moves few of a tree's units."""
        if part.products is None:
            return
        pieces = []
        for k, axes in part.members:
            if k in before:
                old, new = _rows(before[k], axes), _rows(self._b[k], axes)
                other = (old != new).any(0)
                if other.sum() > _FEW * len(other):
                    self._forget(part)
                    return
                a = _rows(self._a[k], axes)[:, other]
                pieces.append((a, new[:, other].double() - old[:, other].double()))
        rows = [torch.cat(side, 1) for side in zip(*pieces, strict=True)]
        part.products += exact_products(rows[0], rows[1]).reshape(part.products.shape)

    def _forget(self, part: _Part) -> None:
        if part.products is not None:
            self._kept -= part.products.numel()
            part.products = None


def _rows(entries: Tensor, axes: tuple[int, ...]) -> Tensor:
    """The slices along some axes as rows."""
    front = entries.movedim(axes, tuple(range(len(axes))))
    count = math.prod(front.shape[: len(axes)])
    return front.reshape(count, entries.numel() // max(count, 1))  # a parameter may be empty


def _paired(products: Tensor) -> Tensor:
    """From (m, n, ..., m', n', ...) to (m, m', n, n', ...): `assign` reads a pair of positions at a time."""
    half = products.ndim // 2
    return products.permute([k + side * half for k in range(half) for side in (0, 1)])


def _inner(a: Tensor, b: Tensor) -> float:
    return inner_product(a.flatten(), b.flatten())
