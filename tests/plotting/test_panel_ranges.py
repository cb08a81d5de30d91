"""Ranges of panels: one for what is shared, and no change to what is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from landscape.base.figure import Axis, ColorAxis, FigureSpec, Heatmap, Line
from landscape.base.panels import panels_of, side_by_side
from landscape.plotting.panel_ranges import with_common_ranges


def cut(low: float, high: float, **changes: object) -> FigureSpec:
    spec = FigureSpec("c", "C", Axis("t"), Axis("loss"), (Line([0, 1], [low, high]),))
    return replace(spec, **changes)  # type: ignore[arg-type]


def test_a_shared_axis_holds_all_panels() -> None:
    """Oracle: smallest and largest value by hand, 4 % of each panel's own range beyond them."""
    spec = with_common_ranges(side_by_side("s", "S", [cut(1, 2), cut(5, 11)]))
    for panel in panels_of(spec):
        assert panel.y.limits is not None
        np.testing.assert_allclose(panel.y.limits, (1 - 0.04, 11 + 0.24))


def test_panels_without_values_do_not_widen_it_and_given_limits_stay() -> None:
    """Oracle: the range of the one panel that has values; the limits that were given."""
    spec = with_common_ranges(side_by_side("s", "S", [cut(5, 6), cut(np.nan, np.nan)]))
    np.testing.assert_allclose(panels_of(spec)[1].y.limits, (5 - 0.04, 6 + 0.04))  # type: ignore[arg-type]
    fixed = Axis("loss", limits=(0, 3))
    spec = with_common_ranges(side_by_side("s", "S", [cut(5, 6, y=fixed), cut(1, 2, y=fixed)]))
    assert {p.y.limits for p in panels_of(spec)} == {(0, 3)}


def test_one_bar_means_one_range_of_colours() -> None:
    """Oracle: smallest and largest value of both fields; other quantities keep their own."""
    loss = [Heatmap([0, 1], [0, 1], k * np.array([[1, 2], [3, 4]]), ColorAxis("loss")) for k in (1, 10)]
    spec = with_common_ranges(side_by_side("s", "S", [cut(0, 0, marks=(f,)) for f in loss]))
    assert [p.marks[0].color.limits for p in panels_of(spec)] == [(1, 40)] * 2  # type: ignore[union-attr]
    gain = replace(loss[1], color=ColorAxis("gain"))
    spec = with_common_ranges(side_by_side("s", "S", [cut(0, 0, marks=(f,)) for f in (loss[0], gain)]))
    assert [p.marks[0].color.limits for p in panels_of(spec)] == [None, None]  # type: ignore[union-attr]
