"""Detection of other data against brute force, the bootstrap, and cases with a known answer."""

from __future__ import annotations

import numpy as np
import pytest

from landscape.core.behaviour.ood import auroc


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
