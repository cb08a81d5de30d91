"""Intervals of differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from landscape.reporting.diff.intervals import Estimate, Gap, between, of_pairs, of_samples


def test_two_normal_errors_add_in_squares():
    """Oracle: the error of a difference of two independent normal numbers, √(σ₁² + σ₂²)."""
    gap = between(Estimate.of_error(1.0, 3.0), Estimate.of_error(2.0, 4.0))
    half = float(stats.norm.ppf(0.975)) * 5.0
    assert gap.value == 1.0 and gap.how == "errors"
    assert (gap.low, gap.high) == pytest.approx((1.0 - half, 1.0 + half))
    assert gap.strength == pytest.approx(1.0 / half) and not gap.clear


def test_intervals_longer_on_one_side_stay_so():
    """Oracle: with an exact first number, the ends are those of the second, moved."""
    gap = between(Estimate(2.0, 2.0, 2.0), Estimate(5.0, 4.5, 7.0))
    assert (gap.value, gap.low, gap.high) == (3.0, 2.5, 5.0)
    assert gap.strength == 6.0  # towards zero: half a unit


def test_what_has_no_error_has_no_interval():
    """Oracle: NaN of either side."""
    assert between(Estimate(1.0), Estimate.of_error(2.0, 1.0)).how == ""
    assert np.isnan(Gap(1.0).strength) and not Gap(1.0).clear


def test_pairs_and_samples_are_scipys():
    """Oracle: the confidence intervals of scipy's own t tests, which share no line with ours."""
    random = np.random.default_rng(0)
    a, b = random.normal(size=12), random.normal(1.0, 2.0, size=12)
    paired = stats.ttest_rel(b, a).confidence_interval()
    gap = of_pairs(a, b)
    assert (gap.low, gap.high) == pytest.approx((paired.low, paired.high))
    welch = stats.ttest_ind(b[:7], a, equal_var=False).confidence_interval()
    gap = of_samples(list(a), list(b[:7]))
    assert (gap.low, gap.high) == pytest.approx((welch.low, welch.high)) and gap.how == "models"


def test_one_model_does_not_tell_how_seeds_vary():
    """Oracle: no interval, yet the difference of the means; what is not finite is left out."""
    gap = of_samples([1.0], [2.0, 4.0])
    assert gap.value == 2.0 and gap.how == ""
    assert of_samples([np.nan, 1.0, 1.0], [3.0, np.inf, 5.0]).value == 3.0
    assert np.isnan(of_samples([np.nan], [1.0]).value)
    assert of_pairs([1.0, np.nan], [2.0, 1.0]) == Gap(1.0)
    assert np.isnan(of_pairs([np.nan], [1.0]).value)
