"""How often the interval of a quantile holds it, and its ranks by sums of the binomial."""

from __future__ import annotations

import math

import numpy as np
import pytest

from landscape.core.stats.order_statistics import quantile_interval, quantile_ranks


@pytest.mark.parametrize(("count", "share"), [(64, 0.5), (50, 0.1), (200, 0.9)])
def test_ranks_are_the_narrowest_that_hold(count, share):
    """Oracle: probabilities of so many values below, by binomial coefficients written out."""
    p = [math.comb(count, k) * share**k * (1 - share) ** (count - k) for k in range(count + 1)]
    low, high = quantile_ranks(count, share)
    # the quantile lies below the value of rank r if fewer than r values lie below it
    assert sum(p[:low]) <= 0.025 < sum(p[: low + 1])
    assert sum(p[high:]) <= 0.025 < sum(p[high - 1 :])


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
