"""Axes, legend and texts as plotly gets them."""

from __future__ import annotations

import numpy as np
import pytest

from landscape.base.figure import Axis, FigureSpec, Line, Series
from landscape.plotting.axes_layout import axes_layout
from landscape.plotting.backends.plotly_layout import (
    category,
    colorscale,
    escape,
    in_template,
    layout,
    log10,
    short_name,
    trace,
    translucent,
)


def laid_out(*names: str, x: Axis | None = None, y: Axis | None = None, title: str = "") -> dict:
    marks = tuple(Line([1, 2], [1, 1000], Series(name)) for name in names)
    spec = FigureSpec("f", title, x or Axis("x"), y or Axis("y"), marks)
    return layout(spec, axes_layout(spec), [])


def test_the_height_grows_with_the_legend_and_the_title() -> None:
    """Oracle: a single model has no legend; a title takes its own room."""
    one, two, many = laid_out("a"), laid_out("a", "b"), laid_out(*(f"a long name {i}" for i in range(40)))
    assert not one["showlegend"] and two["showlegend"]
    assert one["height"] < two["height"] < many["height"]
    assert laid_out("a", title="t")["height"] == one["height"] + 30


def test_limits_and_ticks_of_each_scale() -> None:
    """Oracle: powers of ten by hand; categories by name."""
    log = laid_out("a", y=Axis("y", scale="log", limits=(0.1, 100.0)))["yaxis"]
    assert log["range"] == [-1.0, 2.0] and log["tickformat"] == "~g"
    names = laid_out("a", x=Axis("x", categories=("<b>", "two words that are long")))["xaxis"]
    assert names["ticktext"] == ["&lt;b&gt;", "two words that<br>are long"] and not names["showgrid"]


def test_a_short_log_axis_has_several_ticks() -> None:
    """Oracle: plotly's own words for the steps: of equal length, at 1, 2 and 5, at each power of ten."""

    def step(low: float, high: float) -> object:
        return laid_out("a", y=Axis("y", scale="log", limits=(low, high)))["yaxis"]["dtick"]

    assert [step(0.33, 0.7), step(0.421, 0.434), step(12.0, 48.0)] == ["L0.1", "L0.005", "L10"]
    assert [step(0.3, 3.0), step(1e-3, 10.0)] == ["D2", 1]


@pytest.mark.parametrize("text", ["<b>", "$x$", "a & b"])
def test_texts_cannot_become_markup(text: str) -> None:
    """Oracle: Python's html module undoes it."""
    import html

    shown = escape(text)
    assert "<" not in shown and "$" not in shown and html.unescape(shown) == text
    assert "%{" not in in_template("%{x}")


def test_long_names_lose_their_middle() -> None:
    """Oracle: both ends stay."""
    shown = short_name(Series("start-" + "x" * 80 + "-end"))
    assert len(shown) <= 44 and shown.startswith("start-") and shown.endswith("-end") and "…" in shown


def test_small_helpers() -> None:
    """Oracle: by hand and by numpy."""
    assert trace("scatter", x=[1], y=None) == {"type": "scatter", "x": [1]}
    assert translucent("#ff8000", 0.5) == "rgba(255,128,0,0.5)"
    assert colorscale(("#000", "#888", "#fff")) == [[0.0, "#000"], [0.5, "#888"], [1.0, "#fff"]]
    np.testing.assert_array_equal(log10(np.array([100.0, 0.0, -1.0])), [2.0, np.nan, np.nan])
    axis = Axis("x", categories=("a", "<b>"))
    assert [category(axis, v) for v in (0, 1, 5)] == ["a", "&lt;b&gt;", "5"]
