"""Errors and factors against scipy and plain sampling."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from landscape.core.stats.bootstrap import draw_counts, percentile_interval
from landscape.core.stats.intervals import (
    FEW,
    all_equal_error,
    answer_error,
    expanded,
    reach,
    share_error,
    standard_error,
)


def test_standard_errors():
    """Oracle: scipy's; of arrays and tensors alike; nothing to say of one value or none."""
    values = np.array([[1.0, 4.0, 7.0, 9.0], [2.0, 2.5, 2.0, 1.0]])
    np.testing.assert_allclose(standard_error(values), stats.sem(values, axis=1))
    np.testing.assert_allclose(standard_error(values, 0), stats.sem(values, axis=0))
    np.testing.assert_allclose(standard_error(torch.tensor(values), 0), stats.sem(values, axis=0))
    assert isinstance(standard_error(torch.tensor(values[0])), float)
    assert isinstance(standard_error(values[0]), float)
    assert np.isnan(
        [standard_error(values[0, :1]), standard_error(torch.ones(1)), standard_error(None)]
    ).all()
    assert np.isnan(standard_error(values[:1], 0)).all()
    assert np.isnan(standard_error(np.array([1.0, np.inf])))


def test_factors_are_students_where_there_are_few():
    """Oracle: scipy's quantiles of Student's t; two from sixty values on."""
    for count in (2, 3, 5, 20, FEW - 1):
        assert reach(count) == pytest.approx(stats.t.ppf(0.975, count - 1))
    assert [reach(FEW + 1), reach(10**6)] == [2.0, 2.0]
    assert np.isnan(reach(1))
    assert expanded((0.025, 0.975), FEW) == (0.025, 0.975)
    assert expanded((0.025, 0.975), 1) == (0.025, 0.975)


@pytest.mark.parametrize("count", [4, 8, 20])
def test_few_values_cover_what_they_should(count):
    """Oracle: 4,000 samples of a normal law of known mean, within four binomial standard errors.

    The bootstrap cannot leave the range of its sample, so that of four values it covers less.
    """
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(4000, count))
    half = reach(count) * standard_error(samples)
    assert (np.abs(samples.mean(1)) <= half).mean() == pytest.approx(0.95, abs=0.014)
    plain = np.mean(np.abs(samples.mean(1)) <= 2 * standard_error(samples))
    assert plain < 0.95 - 0.1 / count
    means = draw_counts(count, 1000, 0) @ samples.T / count
    low, high = percentile_interval(means, examples=count)
    assert ((low <= 0) & (high >= 0)).mean() > {4: 0.87, 8: 0.925, 20: 0.935}[count]


def test_equal_answers_have_an_error():
    """Oracle: by hand; of unlike answers, or one alone, that of any mean. The floor holds 95 % of 1/n."""
    same, other = np.zeros(48), np.array([0.0, 1.0, 1.0, -1.0])
    assert share_error(same) == pytest.approx(0.02)
    assert share_error(torch.zeros(48)) == pytest.approx(0.02)
    assert share_error(other) == standard_error(other)
    np.testing.assert_allclose(share_error(np.stack([same, same])), 0.02)
    assert np.isnan(share_error(same[:1]))
    rng = np.random.default_rng(0)
    draws = (rng.random((4000, 50)) < 0.02).astype(float)
    half = 2.0 * share_error(draws)
    assert (np.abs(draws.mean(1) - 0.02) <= half).mean() > 0.95
    assert (np.abs(draws.mean(1) - 0.02) <= 2.0 * standard_error(draws)).mean() < 0.7


@pytest.mark.parametrize("count", [2, 5, 20, 50, 1000])
def test_answers_that_all_agree_have_an_error(count):
    """Oracle: scipy's Wilson interval, and the probability itself that so many answers agree."""
    for all_right in (True, False):
        error = answer_error(np.full(count, float(all_right)))
        ends = stats.binomtest(count * all_right, count).proportion_ci(method="wilson")
        assert reach(count) * error == pytest.approx(ends.high - ends.low, rel=1e-6)
    # Of the shares that the interval leaves out, none gives so many equal answers in more than 3 of 100
    # samples; Wilson's interval is one for large numbers, and for five the limit is 6.
    assert count < 20 or (1 - reach(count) * error) ** count <= 0.03


def test_answers_that_differ_have_the_usual_error():
    """Oracle: `standard_error`; of arrays, tensors and several rows; NaN of one answer or of a NaN."""
    answers = np.array([[1.0, 0.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0], [1 / 3] * 4, [1.0, np.nan, 1.0, 1.0]])
    expected = [standard_error(answers[0]), all_equal_error(4), all_equal_error(4), np.nan]
    np.testing.assert_allclose(answer_error(answers), expected, rtol=1e-12)
    np.testing.assert_allclose(answer_error(torch.tensor(answers)), expected, rtol=1e-12)
    assert answer_error(torch.ones(4)) == all_equal_error(4)
    assert np.isnan([answer_error(np.ones(1)), answer_error(torch.ones(1)), answer_error(None)]).all()
