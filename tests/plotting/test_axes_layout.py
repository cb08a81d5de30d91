"""What every back end must decide alike, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landscape.base.figure import (
    Axis,
    Bars,
    ColorAxis,
    FigureSpec,
    Guide,
    Heatmap,
    Line,
    Points,
    Series,
    Stems,
)
from landscape.plotting.axes_layout import (
    axes_layout,
    color_limits,
    edges,
    finite_runs,
    has_field,
    padded,
    with_gaps,
)


def figure(*marks: Any, x: Axis | None = None, y: Axis | None = None) -> FigureSpec:
    return FigureSpec("f", "", x or Axis("x"), y or Axis("y"), marks)


def test_bars_at_shared_places_stand_side_by_side() -> None:
    """Oracle: two models at spacing 1 share 0.8: bars of 0.4 at −0.2 and +0.2, none overlapping."""
    spec = figure(*(Bars([0, 1], [1, 2], Series(m)) for m in "ab"))
    slots = axes_layout(spec).slots
    assert [(s.offset, s.width) for s in slots.values()] == [(-0.2, 0.4), (0.2, 0.4)]
    apart = figure(Bars([0, 2], [1, 2], Series("a")), Bars([1, 3], [1, 2], Series("b")))
    assert [(s.offset, s.width) for s in axes_layout(apart).slots.values()] == [(0.0, 0.8)] * 2


def test_extents_hold_marks_errors_and_the_zero_of_bars() -> None:
    """Oracle: by hand; what is not finite or not positive on a log axis does not count."""
    spec = figure(Bars([1, 2], [3, 4], error=[0.5, 1.0]), Line([0, 9], [np.nan, np.inf]))
    assert axes_layout(spec).extents["y"] == (0.0, 5.0)
    log = figure(Line([1, 2, 3], [-1.0, 0.1, 10.0]), y=Axis("y", scale="log"))
    found = axes_layout(log)
    assert found.extents["y"] == (0.1, 10.0) and found.floor == 0.05
    assert axes_layout(figure(Line([0], [np.nan]))).extents["y"] == (0.0, 1.0)


def test_a_name_stands_once_in_the_legend() -> None:
    """Oracle: indices by hand; guides and fields have no entry."""
    a, b = Series("a"), Series("b")
    spec = figure(Line([0], [0], a), Points([0], [0], a), Line([0], [0], b), Guide(x=0, label="g"))
    assert axes_layout(spec).named == {0, 2}


@pytest.mark.parametrize(("count", "bar"), [(8, False), (9, True)])
def test_many_lines_coloured_by_value_get_a_bar(count: int, bar: bool) -> None:
    """Oracle: the number of names; of one model its dash says nothing."""
    lines = [Line([0], [0], Series("m", label=f"{i}"), color_value=i / count) for i in range(count)]
    found = axes_layout(figure(*lines))
    assert (found.bar is not None) == bar and found.alike
    assert len(found.named) == (0 if bar else count)


def test_ticks_of_categories_and_ranks() -> None:
    """Oracle: by hand: every second of forty names; whole numbers where bars stand, none elsewhere."""
    names = tuple(f"n{i}" for i in range(40))
    spec = figure(Stems([1, 3], [1, 1]), y=Axis("y", categories=names))
    found = axes_layout(spec)
    assert found.ticks(spec, "y") == [float(i) for i in range(0, 40, 2)]
    assert found.ticks(spec, "x") == [1.0, 3.0]
    half = figure(Stems([0.5], [1]))
    assert axes_layout(half).ticks(half, "x") is None
    epochs = figure(Stems([0, 4, 8, 60], [1] * 4))  # numbers 4 of 60 apart would overlap
    assert axes_layout(epochs).ticks(epochs, "x") is None
    many = figure(Stems(range(20), [1] * 20))
    assert axes_layout(many).ticks(many, "x") == [float(i) for i in range(20)]


def test_labels_near_the_end_turn_back() -> None:
    """Oracle: 0.9 of the way along x, and 0.5."""
    spec = figure(Line([0, 10], [0, 1]))
    found = axes_layout(spec)
    assert found.at_end(spec, Guide(x=9)) and not found.at_end(spec, Guide(x=5))
    log = figure(Line([1, 100], [0, 1]), x=Axis("x", scale="log"))
    assert not axes_layout(log).at_end(log, Guide(x=30)) and axes_layout(log).at_end(log, Guide(x=50))


def test_what_has_no_place_becomes_a_gap() -> None:
    """Oracle: by hand."""
    spec = with_gaps(figure(Line([0, 1, 2], [1, np.inf, 3]), x=Axis("x", scale="log")))
    (line,) = spec.marks
    np.testing.assert_array_equal(line.x, [np.nan, 1, 2])
    np.testing.assert_array_equal(line.y, [1, np.nan, 3])


def test_colours_of_a_signed_field_are_symmetric() -> None:
    """Oracle: by hand; a sequential field takes its own range, a log one what is positive."""
    z = np.array([-1.0, 3.0])
    assert color_limits(ColorAxis("z", kind="diverging"), z) == (-3.0, 3.0)
    assert color_limits(ColorAxis("z"), z) == (-1.0, 3.0)
    assert color_limits(ColorAxis("z", scale="log"), np.array([0.0, 2.0, 8.0])) == (2.0, 8.0)
    assert has_field(figure(Heatmap([0], [0], [[1.0]], ColorAxis("z"))))


@given(st.lists(st.floats(0.1, 10.0), min_size=1, max_size=8))
def test_edges_lie_between_centres_and_around_them(steps: list[float]) -> None:
    """Oracle: each centre lies within its cell; inner borders are midpoints."""
    centres = np.cumsum(steps)
    found = edges(centres)
    assert len(found) == len(centres) + 1
    assert (found[:-1] < centres).all() and (centres < found[1:]).all()
    np.testing.assert_allclose(found[1:-1], (centres[1:] + centres[:-1]) / 2)


def test_margins_are_taken_on_the_axis_own_scale() -> None:
    """Oracle: 4 % by hand, of decades on a log axis; none below zero."""
    assert padded((0.0, 10.0), Axis("y"), True) == (0.0, 10.4)
    assert padded((1.0, 11.0), Axis("y"), True) == pytest.approx((0.6, 11.4))
    assert padded((1.0, 100.0), Axis("y", scale="log"), True) == pytest.approx((10**-0.08, 10**2.08))
    assert padded((1.0, 2.0), Axis("y", scale="log"), False) == (1.0, 2.0)


@given(st.lists(st.sampled_from([1.0, np.nan]), max_size=10))
def test_runs_are_the_stretches_without_gaps(values: list[float]) -> None:
    """Oracle: itertools.groupby in plain Python."""
    from itertools import groupby

    expected, place = [], 0
    for good, group in groupby(values, key=lambda v: v == v):
        length = len(list(group))
        expected += [(place, place + length)] if good else []
        place += length
    array = np.array(values)
    assert [(s.start, s.stop) for s in finite_runs(array, np.zeros(len(array)))] == expected
