"""Fields and colour bars as plotly gets them."""

from __future__ import annotations

import numpy as np

from landscape.base.figure import Axis, ColorAxis, FigureSpec, Heatmap
from landscape.plotting.backends.plotly_fields import field, line_bar

Z = np.array([[1.0, 10.0], [100.0, 0.0]])


def spec(color: ColorAxis, contours: bool = False) -> tuple[FigureSpec, Heatmap]:
    mark = Heatmap([0, 1], [0, 1], Z, color, contours=contours)
    return FigureSpec("f", "", Axis("x <i>"), Axis("y"), (mark,)), mark


def test_a_log_field_is_coloured_by_its_decades_and_hovers_its_values() -> None:
    """Oracle: log10 by numpy; the ticks of the bar say the values."""
    trace = field(*spec(ColorAxis("z", scale="log")), [])
    np.testing.assert_array_equal(trace["z"], [[0, 1], [2, np.nan]])
    assert (trace["zmin"], trace["zmax"]) == (0.0, 2.0)
    np.testing.assert_array_equal(trace["customdata"], Z)
    bar = trace["colorbar"]
    texts = [t.strip() for t in bar["ticktext"]]
    assert dict(zip(texts, bar["tickvals"], strict=True))["10"] == 1.0
    assert "%{customdata" in trace["hovertemplate"] and "x &lt;i&gt;" in trace["hovertemplate"]


def test_contours_have_twenty_levels_and_a_bar_once() -> None:
    """Oracle: the range over twenty; a bar that stands already is not repeated."""
    color = ColorAxis("z")
    trace = field(*spec(color, contours=True), [color])
    assert trace["type"] == "contour" and not trace["showscale"]
    assert trace["contours"]["size"] == (100.0 - 0.0) / 20


def test_a_bar_for_lines_shows_nothing_else() -> None:
    """Oracle: the limits given; no point is drawn."""
    color = ColorAxis("depth", limits=(1.0, 30.0))
    figure = FigureSpec("f", "", Axis("x"), Axis("y"), ())
    bar = line_bar(figure, color)
    assert (bar["marker"]["cmin"], bar["marker"]["cmax"]) == (1.0, 30.0)
    assert bar["x"] == [None] and bar["hoverinfo"] == "skip" and not bar["showlegend"]
