"""Detection of other data against brute force, the bootstrap, and cases with a known answer."""

from __future__ import annotations

import numpy as np
import pytest

from landscape.core.behaviour.ood import auroc, average_precision, false_accept_rate


def brute_force(inside, outside):
    return np.mean([[1.0 if a > b else 0.5 if a == b else 0.0 for b in outside] for a in inside])


@pytest.mark.parametrize("seed", range(4))
def test_auroc_is_the_share_of_pairs(seed):
    """Oracle: every pair compared in a double loop, with many ties."""
    rng = np.random.default_rng(seed)
    inside, outside = rng.integers(0, 9, 40) / 9 + 0.2, rng.integers(0, 9, 23) / 9
    assert auroc(inside, outside)[0] == pytest.approx(brute_force(inside, outside), abs=1e-12)
    assert auroc(outside, inside)[0] == pytest.approx(1 - brute_force(inside, outside), abs=1e-12)


def test_auroc_error_is_the_spread_over_data():
    """Oracle: the standard deviation over fresh draws; two unit normals one apart have Phi(1/sqrt 2)."""
    rng = np.random.default_rng(0)
    found = np.array([auroc(rng.normal(1, 1, 60), rng.normal(0, 1, 40)) for _ in range(400)])
    assert found[:, 0].mean() == pytest.approx(0.7602, abs=0.01)
    assert found[:, 1].mean() == pytest.approx(found[:, 0].std(ddof=1), rel=0.1)


def test_auroc_of_few_or_no_numbers():
    """Oracle: NaN stays NaN; one score of a kind has a value but no error."""
    assert np.isnan(auroc(np.array([1.0, np.nan]), np.array([0.0, 0.5]))).all()
    value, error = auroc(np.array([1.0]), np.array([0.0, 0.5]))
    assert value == 1.0
    assert np.isnan(error)


@pytest.mark.parametrize("levels", [4, 1000])
def test_average_precision_is_the_area_under_its_steps(levels):
    """Oracle: precision and recall at every threshold, counted one by one."""
    rng = np.random.default_rng(0)
    inside, outside = rng.integers(0, levels, 50) + levels / 4, rng.integers(0, levels, 30) * 1.0
    area, before = 0.0, 0.0
    for threshold in np.unique(np.concatenate([inside, outside])):
        found, flagged = (outside <= threshold).sum(), (inside <= threshold).sum()
        area += (found / 30 - before) * found / (found + flagged)
        before = found / 30
    assert average_precision(inside, outside) == pytest.approx(area, abs=1e-12)


def test_average_precision_of_known_orders():
    """Oracle: ideal order 1; all alike, the share of other data; by chance about that share."""
    low, high = np.arange(5.0), np.arange(5.0, 15.0)
    assert average_precision(high, low) == 1.0
    assert average_precision(np.zeros(30), np.zeros(10)) == pytest.approx(0.25)
    rng = np.random.default_rng(0)
    draws = [average_precision(rng.random(3000), rng.random(1000)) for _ in range(20)]
    assert np.mean(draws) == pytest.approx(0.25, abs=0.01)


def test_false_acceptances_at_the_strictest_threshold_that_lets_enough_pass():
    """Oracle: every threshold tried: the strictest one that lets 95 % pass has the least false share."""
    rng = np.random.default_rng(0)
    for count in (19, 20, 21, 100):
        inside, outside = rng.integers(0, 30, count) + 3.0, rng.integers(0, 30, 40) * 1.0
        allowed = [t for t in np.unique(inside) if (inside >= t).mean() >= 0.95]
        want = (outside >= max(allowed)).mean()
        assert false_accept_rate(inside, outside) == want
    assert false_accept_rate(np.ones(20), np.zeros(20)) == 0.0


@pytest.mark.parametrize("score", [average_precision, false_accept_rate])
def test_nan_and_nothing_have_no_score(score):
    """Oracle: by inspection."""
    assert np.isnan(score(np.array([np.nan, 1.0]), np.ones(2)))
    assert np.isnan(score(np.ones(2), np.array([])))
