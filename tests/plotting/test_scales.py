"""Scales: symlog values, ticks and numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.scale import SymmetricalLogScale

from landscape.plotting.scales import (
    from_symlog,
    log_ticks,
    narrow_log_ticks,
    number,
    symlog,
    symlog_ticks,
)

finite = st.floats(-1e12, 1e12)
thresholds = st.floats(1e-6, 1e6)


@given(st.lists(finite, min_size=1, max_size=20), thresholds)
def test_symlog_equals_matplotlibs(values: list[float], linthresh: float) -> None:
    """Oracle: matplotlib's own transform, which the matplotlib back end uses."""
    theirs = SymmetricalLogScale(None, base=10, linthresh=linthresh, linscale=0.9).get_transform()
    np.testing.assert_allclose(
        symlog(values, linthresh), theirs.transform(np.array(values)) / linthresh, rtol=1e-12, atol=1e-12
    )


@given(finite, thresholds)
def test_symlog_is_undone_by_its_inverse(value: float, linthresh: float) -> None:
    """Oracle: the value given."""
    assert from_symlog(symlog(value, linthresh), linthresh) == pytest.approx(value, rel=1e-9, abs=1e-300)


@given(finite, finite, thresholds)
def test_symlog_keeps_order_and_sign(a: float, b: float, linthresh: float) -> None:
    """Oracle: order and oddness are properties of the definition, checked without its formula."""
    low, high = sorted((a, b))
    below, above = symlog([low, high], linthresh)
    assert below <= above
    assert symlog(-a, linthresh) == -symlog(a, linthresh)


def test_symlog_keeps_nan_and_infinity() -> None:
    """Oracle: a gap stays a gap."""
    out = symlog([np.nan, np.inf, -np.inf], 1.0)
    assert math.isnan(out[0]) and out[1] == np.inf and out[2] == -np.inf


@given(finite, finite, thresholds)
def test_symlog_ticks_are_few_inside_and_ordered(a: float, b: float, linthresh: float) -> None:
    """Oracle: what a reader needs of ticks, whatever the range."""
    low, high = sorted((a, b))
    ticks = symlog_ticks(low, high, linthresh)
    slack = 1e-6 * max(abs(low), abs(high), high - low)
    assert all(low - slack <= t <= high + slack for t in ticks)
    assert ticks == sorted(set(ticks))
    assert len(ticks) <= 13


@pytest.mark.parametrize(
    ("low", "high", "linthresh", "expected"),
    [
        (-20.0, 300.0, 1.0, [-10.0, -1.0, 0.0, 1.0, 10.0, 100.0]),
        (0.0, 0.5, 1.0, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        (5.0, 5000.0, 0.1, [10.0, 100.0, 1000.0]),
        (-66.0, -3.0, 1.0, [-50.0, -20.0, -10.0, -5.0]),
        (-2.5, 9.0, 1.0, [-2.0, -1.0, 0.0, 1.0, 2.0, 5.0]),
    ],
)
def test_symlog_ticks_by_hand(low: float, high: float, linthresh: float, expected: list[float]) -> None:
    """Oracle: ticks as one would draw them by hand."""
    assert symlog_ticks(low, high, linthresh) == pytest.approx(expected)


def test_log_ticks_by_hand() -> None:
    """Oracle: decades where there are some, round numbers in between otherwise."""
    assert log_ticks(1e-8, 1e8) == pytest.approx([1e-8, 1e-5, 1e-2, 1e1, 1e4, 1e7])
    assert log_ticks(2.0, 5.0) == pytest.approx([2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0])


@given(st.floats(1e-3, 99999.0, exclude_max=True))
def test_plain_numbers_read_back(value: float) -> None:
    """Oracle: Python's own parser; four significant digits bound the error."""
    assert float(number(value)) == pytest.approx(value, rel=1e-3)
    assert number(-value) == "−" + number(value)


@given(st.floats(-200, 200), st.floats(0.01, 5.0))
def test_ticks_of_a_narrow_log_axis_lie_within_it_and_are_round(start: float, decades: float) -> None:
    """Oracle: by inspection of each tick: two or more, ascending, within, 1, 2 or 5 over a decade."""
    low, high = 10.0**start, 10.0 ** (start + decades)
    ticks = narrow_log_ticks(low, high)
    if ticks is None:
        assert decades >= 0.999
        return
    assert decades < 2.001
    assert ticks == sorted(ticks) and all(low * 0.999 <= t <= high * 1.001 for t in ticks)
    assert len(ticks) >= 2
    if decades >= 1:
        assert all(f"{t:.0e}"[0] in "125" for t in ticks)
