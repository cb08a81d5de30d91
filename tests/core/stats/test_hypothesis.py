"""Tests of means and their correction: against SciPy and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.stats import false_discovery_control

from landscape.core.stats.hypothesis import benjamini_hochberg, holm, mean_test, row_slopes


def test_holm_by_hand():
    """Oracle: Holm's steps by hand; NaN neither counts nor is counted; never above 1."""
    np.testing.assert_allclose(holm([0.02, np.nan, 0.01, 0.9]), [0.04, np.nan, 0.03, 0.9])
    np.testing.assert_allclose(holm([0.6, 0.7]), [1.0, 1.0])
    assert np.isnan(holm([np.nan])).all()


def test_slopes_are_least_squares():
    """Oracle: ``scipy.stats.linregress`` row by row."""
    rng = np.random.default_rng(0)
    x, rows = rng.random(9), rng.normal(size=(4, 9))
    expected = [stats.linregress(x, row).slope for row in rows]
    np.testing.assert_allclose(row_slopes(x, rows), expected, rtol=1e-12)


def test_the_bootstrap_agrees_with_students_test():
    """Oracle: ``scipy.stats.ttest_1samp``, whose standard error the bootstrap estimates."""
    values = np.random.default_rng(1).normal(0.3, 1.0, 50)
    mean, error, p = mean_test(values, 4000, 0)
    assert mean == values.mean()
    assert error == pytest.approx(stats.sem(values), rel=0.05)
    assert p == pytest.approx(stats.ttest_1samp(values, 0.0).pvalue, rel=0.3)


def test_edge_cases():
    """Oracle: an exact zero is no effect; one value has no error."""
    assert mean_test(np.zeros(5), 10, 0) == (0.0, 0.0, 1.0)
    assert mean_test(np.ones(5), 10, 0)[2] == 0.0
    assert np.isnan(mean_test([1.0], 10, 0)[1:]).all()


def test_q_values_are_those_of_scipy_and_leave_nan_out():
    """Oracle: scipy's Benjamini-Hochberg; with NaN, the same of the others."""
    p = np.random.default_rng(0).random(30) ** 3
    assert benjamini_hochberg(p) == pytest.approx(false_discovery_control(p))
    found = benjamini_hochberg([0.01, np.nan, 0.04, 0.03])
    assert np.isnan(found[1]) and found[[0, 2, 3]] == pytest.approx([0.03, 0.04, 0.04])
    assert benjamini_hochberg([]).size == 0
