"""Trees of groups: an outermost group and those within it, which are matched together."""

from __future__ import annotations

from collections.abc import Iterable

from landscape.core.symmetry.groups import TensorBlock
from landscape.core.symmetry.symmetry import Symmetry, outer_axes

__all__ = ["innermost", "trees"]


def trees(symmetry: Symmetry) -> list[tuple[int, ...]]:
    """Groups that are matched together: an outermost one and those within it, outer ones first."""
    # Groups that are fixed but hold free ones within them count: their identity pairs the inner ones.
    needed = {n for free in symmetry.free for n in (*symmetry.groups[free].within, free)}
    found: dict[int, list[int]] = {}
    for number in sorted(needed):
        found.setdefault((*symmetry.groups[number].within, number)[0], []).append(number)
    return [tuple(sorted(t, key=lambda n: len(symmetry.groups[n].within))) for t in found.values()]


def innermost(symmetry: Symmetry, tree: Iterable[int], block: TensorBlock) -> list[tuple[int, ...]]:
    """Axes of a block on which a tree stands: for each innermost group its outer axes and its own."""
    members = set(tree)
    chains = [(*outer_axes(symmetry.groups, block, k), k) for k, n in enumerate(block.dims) if n in members]
    return [c for c in chains if not any(c[-1] in other[:-1] for other in chains)]
