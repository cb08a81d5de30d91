"""Hedges' g: closed forms, scipy's distributions, and coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from landscape.core.stats.standardized_difference import (
    hedges_correction,
    noncentrality_interval,
    standardized_difference,
)


def test_the_correction_has_its_closed_form() -> None:
    """Oracle: Γ at whole and half numbers by hand; 1 − 3/(4f − 1) for many; below 2 there is no mean."""
    assert hedges_correction(2) == pytest.approx(1 / math.sqrt(math.pi))
    assert hedges_correction(4) == pytest.approx(math.sqrt(2 / math.pi))
    assert hedges_correction(300) == pytest.approx(1 - 3 / 1199, abs=1e-6)
    assert math.isnan(hedges_correction(1))


@pytest.mark.parametrize("free", [1.0, 1.7, 2.0, 5.0, 30.0])
@pytest.mark.parametrize("t", [-3.0, 0.4, 2.5, 20.0, 400.0])
def test_the_interval_inverts_the_noncentral_t(free: float, t: float) -> None:
    """Oracle: scipy's noncentral t-distribution, a series, where ours is a quadrature of another sum."""
    low, high = noncentrality_interval(t, free)
    assert stats.nct.cdf(t, free, low) == pytest.approx(0.975, abs=2e-4)
    assert stats.nct.cdf(t, free, high) == pytest.approx(0.025, abs=2e-4)


def test_an_interval_leaves_out_zero_where_welch_says_so() -> None:
    """Oracle: scipy's Welch test, of which g's interval knows nothing; p-values near 0.05."""
    rng = np.random.default_rng(0)
    sides = []
    for shift in np.linspace(0.3, 3.0, 30):
        a, b = rng.normal(shift, 1, 4), rng.normal(0, 2, 6)
        found = standardized_difference(a, b)
        assert found.p == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue)
        assert (found.p < 0.05) == (found.low * found.high > 0)
        sides.append(found.p < 0.05)
    assert 3 < sum(sides) < 27


def test_swapping_groups_or_changing_units_changes_signs_alone() -> None:
    """Oracle: symmetry."""
    a, b = np.array([1.0, 2.0, 4.0]), np.array([2.0, 5.0, 5.5, 7.0])
    one, two = standardized_difference(a, b), standardized_difference(7 - 1e3 * a, 7 - 1e3 * b)
    other = standardized_difference(b, a)
    assert (two.g, two.low, two.high) == pytest.approx((-one.g, -one.high, -one.low))
    assert (other.g, other.low, other.high) == pytest.approx((-one.g, -one.high, -one.low))
    assert one.means == pytest.approx((7 / 3, 4.875)) and one.counts == (3, 4)
    assert one.errors[0] == pytest.approx(stats.sem(a))


@pytest.mark.parametrize(("n", "m", "spreads"), [(2, 2, (1, 1)), (5, 5, (1, 3)), (3, 8, (3, 1))])
def test_coverage(n: int, m: int, spreads: tuple[float, float]) -> None:
    """Oracle: the share of samples of a known difference whose interval holds it; 0.95 less 4 errors."""
    rng = np.random.default_rng(1)
    spread = math.sqrt(((n - 1) * spreads[0] ** 2 + (m - 1) * spreads[1] ** 2) / (n + m - 2))
    true, hits = 1.5 / spread, 0
    for _ in range(100):
        a, b = rng.normal(1.5, spreads[0], n), rng.normal(0, spreads[1], m)
        found = standardized_difference(a, b)
        hits += found.low <= true <= found.high
    assert hits / 100 > 0.95 - 4 * math.sqrt(0.05 * 0.95 / 100)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([1.0], [2.0, 3.0]),
        ([1.0], [2.0]),
        ([], [1.0, 2.0]),
        ([1.0, np.nan], [1.0, 2.0]),
        ([0.1] * 3, [0.3] * 3),
    ],
)
def test_what_cannot_be_told_is_not_told(a: list[float], b: list[float]) -> None:
    """Oracle: one value has no spread, NaN is none, and of values without spread no unit can be made."""
    found = standardized_difference(a, b)
    assert math.isnan(found.g) and math.isnan(found.low) and math.isnan(found.high) and math.isnan(found.p)


def test_two_seeds_against_one_have_a_size_and_no_interval() -> None:
    """Oracle: three values against one: spread of the three alone, g by hand, no error of the one."""
    found = standardized_difference([0.0, 1.0, 2.0], [5.0])
    assert found.g == pytest.approx(-4.0 / math.sqrt(math.pi))
    assert math.isnan(found.low) and math.isnan(found.errors[1]) and found.errors[0] == pytest.approx(3**-0.5)
