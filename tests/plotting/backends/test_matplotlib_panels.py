"""Panels with matplotlib: axes, labels, legend and colour bar of the whole."""

from __future__ import annotations

import numpy as np

from landscape.base.figure import Axis, ColorAxis, FigureSpec, Heatmap, Line, Series
from landscape.base.panels import side_by_side
from landscape.plotting.backends import matplotlib
from landscape.plotting.palette import Palette


def cut(label: str = "loss", high: float = 2.0) -> FigureSpec:
    marks = (Line([0, 1], [1, high], Series("a")), Line([0, 1], [2, 3], Series("b")))
    return FigureSpec("c", "C", Axis("t"), Axis(label), marks)


def plane(scale: float) -> FigureSpec:
    field = Heatmap([0, 1], [0, 1], scale * np.array([[1.0, 2], [3, 4]]), ColorAxis("loss"))
    return FigureSpec("p", "P", Axis("a"), Axis("b"), (field,))


def test_shared_axes_have_one_range_and_labels_at_the_edge() -> None:
    """Oracle: the larger value of both panels, and which panel stands at the left."""
    spec = side_by_side("s", "S", [cut(), cut(high=9.0)])
    left, right = matplotlib.draw(spec, Palette.of([spec])).axes
    assert left.get_ylim() == right.get_ylim() and left.get_ylim()[1] > 9
    assert left.get_ylabel() == "loss" and right.get_ylabel() == ""
    spec = side_by_side("s", "S", [cut(), cut("gain", 9.0)])
    left, right = matplotlib.draw(spec, Palette.of([spec])).axes
    assert left.get_ylim() != right.get_ylim() and right.get_ylabel() == "gain"


def test_legend_and_colour_bar_stand_once() -> None:
    """Oracle: counts by hand: two panels and one bar; two entries."""
    spec = side_by_side("s", "S", [cut(), cut()])
    (legend,) = matplotlib.draw(spec, Palette.of([spec])).legends
    assert [t.get_text() for t in legend.get_texts()] == ["a", "b"]
    spec = side_by_side("s", "S", [plane(1), plane(5)])
    figure = matplotlib.draw_column(spec, Palette.of([spec]), "double")
    assert len(figure.axes) == 3 and figure.get_figwidth() == 6.75
    assert {image.get_clim() for axes in figure.axes[:2] for image in axes.collections} == {(1.0, 20.0)}
