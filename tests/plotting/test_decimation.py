"""Thinning of long lines and large fields."""

from __future__ import annotations

import numpy as np

from landscape.base.figure import (
    Axis,
    ColorAxis,
    FigureSpec,
    Heatmap,
    Line,
)
from landscape.plotting.decimation import LARGEST_FIELD, LONGEST_LINE, decimate


def figure(*marks: object, x: Axis | None = None) -> FigureSpec:
    return FigureSpec("f", "F", x or Axis("x"), Axis("y"), tuple(marks), "Caption.")


def test_long_lines_and_large_fields_are_thinned_and_the_caption_says_so() -> None:
    """Oracle: the bounds; ends of lines are kept, and the mean of a field with its holes left out."""
    x = np.arange(5000.0)
    line = decimate(figure(Line(x, x, low=x - 1, high=x + 1)))
    (mark,) = line.marks
    assert mark.x.size <= LONGEST_LINE + 1 and mark.x[0] == 0 and mark.x[-1] == 4999
    np.testing.assert_array_equal(mark.high, mark.x + 1)
    assert "some of their points" in line.caption
    z = np.ones((400, 320))
    z[0, 0] = np.nan
    spec = decimate(figure(Heatmap(np.arange(320), np.arange(400), z, ColorAxis("z"))))
    field = spec.marks[0]
    assert max(field.z.shape) <= LARGEST_FIELD and (field.z == 1).all()
    assert field.x[0] == 0.5 and "400 × 320" in spec.caption
    small = figure(Line([0, 1], [0, 1]))
    assert decimate(small) is small
