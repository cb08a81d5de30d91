from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import xarray as xr

import landscape
from landscape.analyses.surfaces.surface.compute import _kept
from landscape.analyses.surfaces.surface.minima import places_in_tree
from landscape.base.figure import Line, Points
from landscape.base.panels import panels_of
from landscape.core.surfaces.merge_tree import merge_tree


def drawn(z: np.ndarray) -> dict[str, list]:
    """The panels of a figure of minima, by title, of a surface that is given point by point."""
    from landscape.analyses.surfaces.surface.minima import minima_figures
    from landscape.base.figure import Axis, ColorAxis, FigureSpec, Heatmap

    tree = merge_tree(z)
    rows, columns = np.unravel_index(tree.minimum, z.shape)
    x, y = np.arange(z.shape[1]) * 0.5, np.arange(z.shape[0]) * 2.0
    found = {"x": x[columns], "y": y[rows], "loss": tree.birth, "saddle": tree.saddle, "into": tree.into}
    ds = xr.Dataset({f"minimum_{k}": ("minimum", v) for k, v in found.items()})
    field = Heatmap(x, y, z, ColorAxis("loss"), True)
    contours = FigureSpec("loss", "Loss surface", Axis("x"), Axis("y"), (field,))
    specs = minima_figures({"": ds}, {"": contours}, Axis("loss"))
    return {panel.title: list(panel.marks) for spec in specs for panel in panels_of(spec)}


def test_three_wells_in_a_row_by_hand() -> None:
    """Oracle: wells of 1, 0 and 2 with walls of 5 and 3 between them, as bars and as a tree, by hand."""
    panels = drawn(np.array([[1.0, 5.0, 0.0, 3.0, 2.0]] * 2))
    bars = [(m.x[0], m.y[0], m.y[1]) for m in panels["Barcode"] if isinstance(m, Line)]
    top = 5 + 2 * 0.25 * 5
    assert bars == [(0, 0, top), (1, 1, 5), (2, 2, 3)]
    tree = [m for m in panels["Merge tree"] if isinstance(m, Line)]
    # the well of 2 joins lower, at 3, and so stands nearer
    assert [(m.x[0], m.y[0], m.y[1]) for m in tree[:3]] == [(0, 0, top), (2, 1, 5), (1, 2, 3)]
    assert [(sorted(m.x), m.y[0], m.y[1]) for m in tree[3:]] == [([0, 2], 5, 5), ([0, 1], 3, 3)]
    (marked,) = (m for m in panels["Surface"] if isinstance(m, Points))
    assert marked.x.tolist() == [1.0, 0.0, 2.0] and marked.symbols == ("square", "diamond", "triangle")
    assert drawn(np.array([[3.0, 1.0, 2.0]] * 2)) == {}


@pytest.mark.parametrize("seed", range(3))
def test_no_joint_crosses_a_line(seed: int) -> None:
    """Oracle: every joint against every line, one by one, of surfaces of noise."""
    tree = merge_tree(np.random.default_rng(seed).normal(size=(12, 12)))
    place = places_in_tree(tree.into, tree.saddle)
    assert sorted(place) == list(range(tree.into.size)) and tree.into.size > 8
    for k, parent in enumerate(tree.into):
        if parent < 0:
            continue
        left, right = sorted((place[k], place[parent]))
        between = (place > left) & (place < right)
        assert not (between & (tree.birth < tree.saddle[k]) & (tree.saddle > tree.saddle[k])).any()


def test_what_joins_a_minimum_that_is_left_out_joins_the_next() -> None:
    """Oracle: a chain of four by hand."""
    assert _kept(np.array([-1, 0, 1, 2]), np.array([0, 1, 3])).tolist() == [-1, 0, 1]


@pytest.mark.parametrize("backend", ["plotly", "matplotlib"])
def test_the_colours_are_told_once_whichever_panel_has_them(backend: str) -> None:
    """Oracle: one colour bar, of the third panel."""
    from landscape.base.figure import Axis, ColorAxis, FigureSpec, Heatmap
    from landscape.base.panels import side_by_side

    line = FigureSpec("l", "l", Axis("t"), Axis("u"), (Line([0, 1], [0, 1]),))
    field = Heatmap([0, 1], [0, 1], [[0, 1], [1, 2]], ColorAxis("c"))
    whole = side_by_side("w", "", [line, line, FigureSpec("f", "f", Axis("x"), Axis("y"), (field,))])
    (figure,) = landscape.plot([whole], backend=backend)
    if backend == "plotly":
        assert [t.showscale for t in figure.data if t.type == "heatmap"] != [False]
        return
    assert len(figure.axes) == 4
    left = [axes.get_position().x0 for axes in figure.axes]
    assert all(a < b for a, b in pairwise(left))
