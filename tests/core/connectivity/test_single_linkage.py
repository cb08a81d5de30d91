"""Trees over saddles against scipy's spanning tree, single linkage and brute force."""

from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest
from scipy.cluster.hierarchy import cophenet, linkage
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial.distance import squareform

from landscape.core.connectivity.single_linkage import saddle_tree


def saddles(n, seed):
    matrix = np.random.default_rng(seed).random((n, n)) + 1
    return np.triu(matrix, 1) + np.triu(matrix, 1).T


def minimax(tree, n):
    """Saddle at which the tree joins any two models."""
    heights = np.zeros((n, n))
    for merge in tree.merges:
        for i in merge.first:
            for j in merge.second:
                heights[i, j] = heights[j, i] = merge.saddle
    return heights


@pytest.mark.parametrize("seed", range(4))
def test_the_tree_is_minimal(seed):
    """Oracle: the total of scipy's minimum spanning tree, and the edges' own saddles."""
    matrix = saddles(8, seed)
    tree = saddle_tree(matrix)
    assert sum(m.saddle for m in tree.merges) == pytest.approx(minimum_spanning_tree(matrix).sum())
    assert all(m.saddle == matrix[m.a, m.b] for m in tree.merges)
    assert all(m.a in m.first + m.second and m.b in m.first + m.second for m in tree.merges)


def test_joining_heights_are_single_linkage():
    """Oracle: scipy's cophenetic distances; and the least climb over every chain, by brute force."""
    matrix = saddles(5, 0)
    found = minimax(saddle_tree(matrix), 5)
    np.testing.assert_allclose(found, squareform(cophenet(linkage(squareform(matrix), "single"))))
    for i, j in ((0, 4), (1, 3)):
        others = [k for k in range(5) if k not in (i, j)]
        chains = [(i, *middle, j) for size in range(4) for middle in permutations(others, size)]
        climbs = [max(matrix[a, b] for a, b in pairwise(c)) for c in chains]
        assert found[i, j] == min(climbs)


def test_clusters_lie_side_by_side():
    """Oracle: the places of every cluster's models in the order are consecutive."""
    tree = saddle_tree(saddles(9, 3))
    for merge in tree.merges:
        places = sorted(tree.order.index(m) for m in merge.first + merge.second)
        assert places == list(range(places[0], places[0] + len(places)))


def test_what_cannot_be_joined_stays_apart():
    """Oracle: NaN and infinite saddles are no edges: two trees and a single model."""
    matrix = np.full((5, 5), np.nan)
    matrix[0, 2] = matrix[2, 0] = 1.0
    matrix[1, 3] = matrix[3, 1] = 2.0
    matrix[0, 1] = matrix[1, 0] = np.inf
    tree = saddle_tree(matrix)
    assert [(m.a, m.b) for m in tree.merges] == [(0, 2), (1, 3)]
    assert tree.order == (0, 2, 1, 3, 4)
