"""Margins by hand, and how often the interval of a quantile holds it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from landscape.core.behaviour.margins import margins, quantile_interval


def test_margins_are_signed():
    """Oracle: by hand: right by 2, wrong by 3; a hole stays; not the modulus."""
    log_p = np.array([[3.0, 1.0, 0.0], [4.0, 1.0, 0.0], [np.nan, 1.0, 0.0]])
    np.testing.assert_array_equal(margins(log_p, np.array([0, 1, 1])), [2.0, -3.0, np.nan])


@pytest.mark.parametrize(("n", "share"), [(50, 0.1), (200, 0.5)])
def test_the_interval_holds_the_quantile(n, share):
    """Oracle: the quantile of an exponential distribution, which no interval is told."""
    rng = np.random.default_rng(0)
    want = -math.log(1 - share)
    held = 0
    for _ in range(1000):
        _, low, high = quantile_interval(rng.exponential(size=n), share)
        held += low <= want <= high
    assert 0.94 <= held / 1000 <= 0.985


def test_few_values_have_no_interval():
    """Oracle: of ten values none is surely below the 1 % quantile."""
    found, low, high = quantile_interval(np.arange(10.0), 0.01)
    assert found == pytest.approx(0.09)
    assert math.isnan(low)
    assert high == 1.0
    assert np.isnan(quantile_interval(np.array([1.0, np.nan]), 0.5)).all()
    assert np.isnan(quantile_interval(np.zeros(0), 0.5)).all()
