"""Merge tree of a surface: its minima, and the saddle at which each joins a deeper one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["MergeTree", "merge_tree"]

Array = NDArray[np.float64]
Index = NDArray[np.intp]


@dataclass(frozen=True)
class MergeTree:
    """Minima of a surface in order of persistence, the deepest first.

    Attributes:
        minimum: Flat index of each minimum (m,).
        birth: Its value (m,).
        saddle: Value at which its basin joins that of a deeper minimum (m,); infinite for the deepest of
            each component.
        into: Which minimum it joins, as an index into these arrays; −1 for none.
    """

    minimum: Index
    birth: Array
    saddle: Array
    into: Index

    @property
    def persistence(self) -> Array:
        """Height ``saddle − birth`` of the barrier that separates each minimum from a deeper one (m,)."""
        return self.saddle - self.birth


def merge_tree(z: Array) -> MergeTree:
    """The merge tree (0-dimensional persistence) of the sublevel sets of values (ny, nx).

    Grid points are taken in order of value and joined with their eight neighbours by union and find
    (Edelsbrunner & Harer 2010, section VII.1); ties go to the lower index. A point that is not finite
    belongs to no sublevel set. By hand, since libraries of persistent homology, such as gudhi, are heavy for
    these forty lines. A minimum is a grid point, or a plateau, below all its neighbours; those
    at the edge of the grid count.
    """
    ny, nx = z.shape
    flat = z.ravel()
    order = np.argsort(flat, kind="stable")
    order = order[np.isfinite(flat[order])]
    parent = np.full(flat.size, -1, dtype=np.intp)
    found: list[tuple[int, float, int]] = []  # minimum, saddle, the minimum it joins

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = int(parent[i])
        return i

    # the root of a component is its minimum: the first point that entered it
    rank = np.empty(flat.size, dtype=np.intp)
    rank[order] = np.arange(order.size)
    for i in order.tolist():
        row, column = divmod(i, nx)
        parent[i] = i
        for r in range(max(row - 1, 0), min(row + 2, ny)):
            for c in range(max(column - 1, 0), min(column + 2, nx)):
                j = r * nx + c
                if parent[j] < 0 or j == i:
                    continue
                # The elder rule: where two basins meet, the minimum that is less deep dies.
                # By rank, not by value, so that of equal minima one is the elder.
                deep, shallow = sorted((root(i), root(j)), key=rank.__getitem__)
                if deep == shallow:
                    continue
                parent[shallow] = deep
                # Else the basin began at this very height: part of a slope or plateau, no minimum of its own.
                if flat[shallow] < flat[i]:
                    found.append((shallow, float(flat[i]), deep))
    found += [(i, np.inf, -1) for i in order.tolist() if parent[i] == i]
    found.sort(key=lambda f: (flat[f[0]] - f[1], rank[f[0]]))
    place = {minimum: k for k, (minimum, _, _) in enumerate(found)}
    minima = np.array([f[0] for f in found], dtype=np.intp)
    return MergeTree(
        minima,
        flat[minima],
        np.array([f[1] for f in found], dtype=np.float64),
        np.array([place.get(f[2], -1) for f in found], dtype=np.intp),
    )
