"""Phases, thresholds and rank correlations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from landscape.analyses.taxonomy.phases import (
    Thresholds,
    find_thresholds,
    phases,
    resampled_mean,
    resampled_spearman,
    spearman,
    two_medians,
)

numbers = st.lists(st.floats(-100, 100).map(lambda v: round(v, 3)), min_size=2, max_size=12)


@given(numbers)
def test_two_medians_finds_the_best_split(values: list[float]) -> None:
    """Oracle: every split tried in turn, distances to np.median summed."""
    x = np.sort(np.array(values))
    border, gain = two_medians(np.array(values))
    if x[0] == x[-1]:
        assert np.isnan(border)
        return

    def spread(part: np.ndarray) -> float:
        return float(np.abs(part - np.median(part)).sum())

    costs = [spread(x[x <= cut]) + spread(x[x > cut]) for cut in np.unique(x)[:-1]]
    left = x[x <= border]
    assert spread(left) + spread(x[x > border]) == pytest.approx(min(costs), abs=1e-9)
    assert gain == pytest.approx(1 - min(costs) / spread(x), abs=1e-9)


def test_two_medians_is_not_drawn_by_a_tail() -> None:
    """Oracle: by construction; 2-means splits off the tail of the same numbers."""
    low, high, tail = np.linspace(0, 1, 20), np.linspace(3, 4, 20), np.array([9.0, 12.0])
    border, _ = two_medians(np.concatenate([low, high, tail]))
    assert 1 < border < 3


def test_two_medians_leaves_out_nan() -> None:
    """Oracle: the same numbers without NaN."""
    assert two_medians(np.array([0.0, np.nan, 1.0])) == two_medians(np.array([0.0, 1.0]))


def test_phases_follow_the_definitions() -> None:
    """Oracle: the table of the paper's phases, cell by cell."""
    sharp = np.array([5.0, 5.0, 1.0, 1.0, 1.0, np.nan, 1.0])
    connected = np.array([-9.0, 2.0, -9.0, 0.0, 0.0, 0.0, 0.0])
    similar = np.array([0.9, 0.9, 0.9, 0.1, 0.9, 0.9, np.nan])
    got = phases(sharp, connected, similar, Thresholds(3.0, -1.0, 0.5))
    assert got.tolist() == ["I", "II", "III", "IV-A", "IV-B", "", ""]


def test_small_gaps_are_no_barriers() -> None:
    """Oracle: the documented floor: gaps under one point of training error count as connected."""
    gap = -np.array([0.0, 0.01, 0.02, 0.4, 0.5])
    at, _ = find_thresholds(np.arange(5.0), gap, np.arange(5.0), (None, None, None))
    assert at.connectivity == -1.0


def test_given_thresholds_stay() -> None:
    """Oracle: the numbers given."""
    at, gains = find_thresholds(np.arange(5.0), -np.arange(5.0), np.arange(5.0), (2.0, -3.0, 0.7))
    assert at.values() == (2.0, -3.0, 0.7)
    assert np.isnan(gains).all()


def test_thresholds_recover_a_planted_gap() -> None:
    """Oracle: two clusters planted on each axis; any border between them is right."""
    rng = np.random.default_rng(0)
    group = rng.integers(0, 2, (3, 80))
    sharp = 1 + 4 * group[0] + rng.normal(0, 0.3, 80)
    connected = -np.exp(group[1] * 3) + 1 + rng.normal(0, 0.05, 80)
    similar = 0.4 + 0.4 * group[2] + rng.normal(0, 0.03, 80)
    at, _ = find_thresholds(sharp, connected, similar, (None, None, None))
    got = phases(sharp, connected, similar, at)
    flat = group[0] == 0
    want = np.where(
        ~flat,
        np.where(group[1] == 1, "I", "II"),
        np.where(group[1] == 1, "III", np.where(group[2] == 1, "IV-B", "IV-A")),
    )
    assert (got == want).all()


def test_spearman_equals_scipy() -> None:
    """Oracle: scipy.stats.spearmanr, with ties."""
    rng = np.random.default_rng(1)
    x = rng.integers(0, 6, (4, 30)).astype(float)
    y = x + rng.integers(0, 6, (4, 30))
    want = [spearmanr(a, b).statistic for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(spearman(x, y), want, rtol=1e-12)
    assert np.isnan(spearman(np.zeros(5), np.arange(5.0)))


def test_spearman_interval_covers_as_often_as_it_says() -> None:
    """Oracle: the rank correlation of a bivariate normal, (6/π) arcsin(ρ/2), in closed form.

    Coverage over 300 samples lies within four binomial standard errors of 90 %, but for the small
    undercoverage that a percentile interval has at n = 40.
    """
    rng = np.random.default_rng(2)
    rho, n, hits = 0.6, 40, 0
    truth = 6 / np.pi * np.arcsin(rho / 2)
    for _ in range(300):
        x = rng.normal(size=n)
        y = rho * x + np.sqrt(1 - rho**2) * rng.normal(size=n)
        _, low, high, _ = resampled_spearman(x, y, 200, 0.9, rng)
        hits += low <= truth <= high
    assert 0.9 - 0.03 - 4 * np.sqrt(0.09 / 300) < hits / 300 < 0.9 + 4 * np.sqrt(0.09 / 300)


def test_too_few_cells_give_nan() -> None:
    """Oracle: the documented behaviour."""
    rng = np.random.default_rng(0)
    value, low, high, cells = resampled_spearman(np.arange(2.0), np.arange(2.0), 100, 0.9, rng)
    assert np.isnan([value, low, high]).all()
    assert cells == 2
    mean, low, high = resampled_mean(np.array([4.0]), 100, 0.9, rng)
    assert mean == 4.0
    assert np.isnan([low, high]).all()
