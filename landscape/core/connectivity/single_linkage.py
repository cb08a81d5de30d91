"""Which models a rising loss joins first: the spanning forest over the saddles between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Merge", "Tree", "saddle_tree"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Merge:
    """Two clusters become one.

    Attributes:
        a: Model of the first cluster that the edge starts from.
        b: Model of the second that it ends at.
        saddle: Highest loss between them on the edge.
        first: Models of the first cluster before the merge.
        second: Those of the second.
    """

    a: int
    b: int
    saddle: float
    first: tuple[int, ...]
    second: tuple[int, ...]


@dataclass(frozen=True)
class Tree:
    """A minimum spanning forest.

    Attributes:
        merges: From the lowest saddle to the highest.
        order: All models such that every cluster lies side by side.
    """

    merges: tuple[Merge, ...]
    order: tuple[int, ...]


def saddle_tree(saddles: Array) -> Tree:
    """The minimum spanning forest over saddles (n, n), by Kruskal's algorithm.

    The highest saddle on the way between two models in the tree is the least that any chain of the given
    paths has to climb (Draxler et al. 2018, section 3.4), which is also where single linkage joins them.
    Pairs whose saddle is not finite are not joined. Ties go to the pair that comes first.

    By hand, since `scipy.cluster.hierarchy.linkage` refuses saddles that are not finite and does not tell
    which two models an edge of the tree lies between, and scipy's spanning tree takes a saddle of 0 for none.

    Args:
        saddles: Highest loss between two models; symmetric, its diagonal is not looked at.

    Example:
        >>> tree = saddle_tree(np.array([[0, 5, 2], [5, 0, 4], [2, 4, 0.0]]))
        >>> [(m.a, m.b, m.saddle) for m in tree.merges], tree.order
        ([(0, 2, 2.0), (1, 2, 4.0)], (0, 2, 1))
    """
    n = len(saddles)
    cluster: list[tuple[int, ...]] = [(i,) for i in range(n)]
    merges = []
    for a, b in _rising(saddles):
        first, second = cluster[a], cluster[b]
        if first == second:
            continue
        # The cluster of the earlier model comes first, whichever end of the edge it stands at.
        if min(second) < min(first):
            merges.append(Merge(a, b, float(saddles[a, b]), second, first))
        else:
            merges.append(Merge(a, b, float(saddles[a, b]), first, second))
        joined = merges[-1].first + merges[-1].second
        for model in joined:
            cluster[model] = joined
    order = tuple(model for group in dict.fromkeys(cluster) for model in group)
    return Tree(tuple(merges), order)


def _rising(saddles: Array) -> Sequence[tuple[int, int]]:
    rows, columns = np.triu_indices(len(saddles), 1)
    heights = saddles[rows, columns]
    order = np.argsort(heights, kind="stable")
    return [(int(rows[i]), int(columns[i])) for i in order if np.isfinite(heights[i])]
