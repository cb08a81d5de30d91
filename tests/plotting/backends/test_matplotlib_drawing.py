"""What matplotlib alone decides of a figure: layout, legends, ticks."""

from __future__ import annotations

import io
import itertools
from typing import Any

import numpy as np
import pytest

import landscape
from landscape.base.figure import (
    Axis,
    FigureSpec,
    Line,
    Points,
    Series,
)


def spec_of(*drawn: Any, x: Axis | None = None, y: Axis | None = None, **more: Any) -> FigureSpec:
    return FigureSpec("f", "title", x or Axis("x"), y or Axis("y", "nat"), drawn, **more)


def test_dollar_signs_are_no_formula_in_matplotlib() -> None:
    """Oracle: a name that would be a broken formula is drawn without an error."""
    spec = spec_of(Line([0], [0], Series(r"$\frac")), Line([0], [0], Series("x")))
    figure = landscape.plot(spec, backend="matplotlib")
    figure.savefig(io.BytesIO())
    assert figure.legends[0].get_texts()[0].get_text() == r"\$\frac"


@pytest.mark.parametrize("count", [2, 12, 40])
def test_legend_never_covers_the_axes(count: int) -> None:
    """Oracle: the rectangles that matplotlib laid out, in pixels."""
    lines = [Line([0, 1], [i, i], Series(f"a model with a rather long name {i}")) for i in range(count)]
    figure = landscape.plot(spec_of(*lines), backend="matplotlib")
    figure.draw_without_rendering()
    (legend,) = figure.legends
    axes = figure.axes[0].get_tightbbox()
    assert legend.get_window_extent().y1 <= axes.y0
    assert legend.get_window_extent().y0 >= 0


def test_matplotlib_gives_every_line_of_a_category_its_room() -> None:
    """Oracle: heights of the laid-out texts: none meets the next, though there are twenty of two lines."""
    names = tuple(f"a first line of number {k}\nand a second one" for k in range(20))
    places = np.arange(20.0)
    spec = spec_of(Points(places, places), y=Axis("", categories=names))
    figure = landscape.plot(spec, backend="matplotlib")
    figure.draw_without_rendering()
    boxes = [t.get_window_extent() for t in figure.axes[0].get_yticklabels()]
    assert all(low.y1 <= high.y0 + 0.5 for low, high in itertools.pairwise(boxes))


def test_a_log_axis_of_less_than_a_decade_has_plain_numbers() -> None:
    """Oracle: the texts that matplotlib laid out: no products with a power of ten."""
    line = Line(np.array([1.0, 2.0]), np.array([0.3, 0.9]), Series(model="a"))
    spec = FigureSpec("f", "F", Axis("x"), Axis("y", scale="log"), (line,))
    figure = landscape.plot(spec, backend="matplotlib")
    figure.draw_without_rendering()
    major, minor = (figure.axes[0].get_yticklabels(minor=m) for m in (False, True))
    assert len(major) >= 2 and all(float(t.get_text()) > 0 for t in major)
    assert all("10^" not in t.get_text() for t in [*major, *minor])


def test_every_row_of_many_has_its_name() -> None:
    """Oracle: names by hand; the rectangles that matplotlib laid out do not overlap, in pixels."""
    names = tuple(f"a claim of two lines\nnumber {i}" for i in range(30))
    places = np.arange(30.0)
    figure = landscape.plot(
        spec_of(Points(places, places), y=Axis("", categories=names)), backend="matplotlib"
    )
    figure.draw_without_rendering()
    labels = figure.axes[0].get_yticklabels()
    assert [label.get_text() for label in labels] == list(names)
    boxes = [label.get_window_extent() for label in labels]
    assert all(above.y0 >= below.y1 for below, above in itertools.pairwise(boxes))
