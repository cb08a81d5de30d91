"""Matrices as cells, and trees of models by average linkage."""

from __future__ import annotations

import numpy as np
import pytest

from landscape.analyses._shared.matrix_figure import dendrogram, matrix
from landscape.base.figure import ColorAxis, Guide, Heatmap


def test_a_matrix_has_a_cell_for_each_pair_and_lines_between_models():
    """Oracle: the arguments."""
    values = np.arange(6.0).reshape(2, 3)
    spec = matrix(
        "m",
        "Matrix",
        ("row", ["a", "b"]),
        ("column", ["x", "y", "z"]),
        values,
        ColorAxis("value"),
        "C.",
        [0.5],
    )
    (cells,) = [m for m in spec.marks if isinstance(m, Heatmap)]
    np.testing.assert_array_equal(cells.z, values)
    assert (spec.y.categories, spec.x.categories) == (("a", "b"), ("x", "y", "z"))
    assert [(g.x, g.y) for g in spec.marks if isinstance(g, Guide)] == [(0.5, None), (None, 0.5)]


def tree(distance, names=("a", "b", "c")):
    return dendrogram("t", "Tree", names, distance, "distance", "1", "C.")


def test_models_are_joined_at_their_mean_distance():
    """Oracle: average linkage by hand: a and b at 1, then c at the mean of 4 and 6."""
    spec = tree([[0, 1, 4], [1, 0, 6], [4, 6, 0]])
    assert sorted(float(np.max(line.x)) for line in spec.marks) == [1.0, 5.0]
    assert set(spec.y.categories) == {"a", "b", "c"}
    assert {spec.y.categories.index("a"), spec.y.categories.index("b")} in ({0, 1}, {1, 2})  # side by side


def test_a_negative_distance_counts_as_none():
    """Oracle: an unbiased similarity above 1 makes a distance below 0; its branch has no length."""
    spec = tree([[0, -0.1, 4], [-0.1, 0, 4], [4, 4, 0]])
    assert min(float(np.max(line.x)) for line in spec.marks) == 0.0


@pytest.mark.parametrize(("distance", "names"), [([[0.0]], ("a",)), ([[0, np.nan], [np.nan, 0]], ("a", "b"))])
def test_there_is_no_tree_of_one_model_or_of_unknown_distances(distance, names):
    """Oracle: nothing could be joined."""
    assert tree(distance, names) is None
