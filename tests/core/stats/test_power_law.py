"""Power-law tails against closed forms, scipy, exhaustive search and powerlaw."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize

from landscape.core.stats.power_law import (
    LEAST_TAIL,
    fit_power_law,
    kolmogorov_distance,
    log_likelihood_ratio,
)
from landscape.errors import InputError


def pareto(count, alpha=2.5, seed=0):
    return (1.0 - np.random.default_rng(seed).random(count)) ** (-1.0 / (alpha - 1.0))


def test_quantiles_of_a_power_law():
    """Oracle: the exponent that the quantiles are made of, 2.5."""
    sample = (1.0 - (np.arange(4000) + 0.5) / 4000) ** (-1.0 / 1.5)
    found = fit_power_law(sample)
    assert found.alpha == pytest.approx(2.5, abs=2e-3)
    assert found.count >= 3990
    assert np.isnan(found.p) and np.isnan(found.alpha_se)


def test_the_start_is_the_best_of_all():
    """Oracle: a loop over every start, with scipy's Kolmogorov-Smirnov test of a Pareto law."""
    body = np.random.default_rng(1).random(40)
    sample = np.sort(np.concatenate([body, pareto(60, seed=2)]))
    best = (np.inf, 0.0, 0.0)
    for place in range(len(sample) - LEAST_TAIL + 1):
        tail = sample[place:]
        slope = len(tail) / np.log(tail / tail[0]).sum()
        distance = stats.kstest(tail, stats.pareto(slope, scale=tail[0]).cdf).statistic
        best = min(best, (distance, tail[0], 1.0 + slope))
    found = fit_power_law(sample)
    assert (found.distance, found.start, found.alpha) == pytest.approx(best, rel=1e-10)
    assert found.count == (sample >= found.start).sum()
    tail = sample[sample >= found.start]
    assert kolmogorov_distance(tail, found.alpha, found.start) == pytest.approx(found.distance, rel=1e-12)


def test_scale_and_order_do_not_matter():
    """Oracle: p(x) ∝ x^−α knows no unit."""
    sample = pareto(200)
    one, other = fit_power_law(sample, resamples=5), fit_power_law(1e-6 * sample[::-1], resamples=5)
    for name in ("alpha", "distance", "p", "alpha_se", "exponential", "exponential_p"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-6), name


def test_p_values_of_power_laws_are_uniform():
    """Oracle: what a p-value is; few samples of few values, so by a coarse Kolmogorov-Smirnov test."""
    p = [fit_power_law(pareto(40, seed=s), resamples=40, seed=s).p for s in range(60)]
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_other_laws_are_rejected():
    """Oracle: the laws that the samples are drawn from."""
    rng = np.random.default_rng(0)
    uniform = fit_power_law(1.0 + rng.random(1500), resamples=40)
    assert uniform.p < 0.1 or uniform.count < 150
    exponential = fit_power_law(1.0 + rng.exponential(size=1500), resamples=40)
    assert exponential.p < 0.1
    assert exponential.exponential < -2 and exponential.exponential_p < 0.05
    power = fit_power_law(pareto(1500), resamples=40)
    assert power.p >= 0.1
    assert power.exponential > 2 and power.exponential_p < 0.05


def test_the_log_normal_fit_is_the_best():
    """Oracle: scipy's truncated normal law of the logarithms, and a search over mean and width."""
    sample = np.exp(np.abs(np.random.default_rng(3).normal(0.5, 0.7, 400)))
    found = fit_power_law(sample)
    y = np.log(np.sort(sample[sample >= found.start]) / found.start)

    def cost(at):
        mean, width = at[0], np.exp(at[1])
        return -stats.truncnorm(-mean / width, np.inf, mean, width).logpdf(y).sum()

    best = minimize(cost, [0.5, 0.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-9})
    mean, width = best.x[0], np.exp(best.x[1])
    other = stats.truncnorm(-mean / width, np.inf, mean, width).logpdf(y)
    own = np.log(found.alpha - 1) - (found.alpha - 1) * y
    assert found.log_normal < -0.1
    assert (found.log_normal, found.log_normal_p) == pytest.approx(log_likelihood_ratio(own, other), rel=1e-4)


def test_a_power_law_is_the_limit_of_log_normals():
    """Oracle: if ⟨y²⟩ > 2⟨y⟩² of y = ln(x/start), no log-normal tail is likelier: the ratio is exactly 0."""
    sample = pareto(150, alpha=2.3, seed=0) ** np.linspace(0.7, 1.6, 150)
    found = fit_power_law(sample)
    y = np.log(sample[sample >= found.start] / found.start)
    second = np.square(y).mean() / y.mean() ** 2
    assert (found.log_normal == 0.0) == (second >= 2.0)
    assert found.log_normal <= 0.0


def test_ratios_by_hand():
    """Oracle: Vuong's statistic of four differences, mean 1 and deviation 1."""
    ratio, p = log_likelihood_ratio(np.array([0.0, 2.0, 0.0, 2.0]), np.zeros(4))
    assert ratio == pytest.approx(2.0)
    assert p == pytest.approx(2 * stats.norm.sf(2.0))
    assert log_likelihood_ratio(np.ones(3), np.ones(3)) == (0.0, 1.0)
    assert log_likelihood_ratio(np.ones(3), np.zeros(3)) == (np.inf, 0.0)


@pytest.mark.parametrize("sample", [[], [1.0] * 50, [0.0] * 50, np.arange(1, LEAST_TAIL), [-1.0] * 20])
def test_nothing_to_fit_is_nan(sample):
    """Oracle: too few values, or values without any spread, have no exponent."""
    found = fit_power_law(sample, resamples=3)
    assert found.count == 0
    assert np.isnan([found.alpha, found.distance, found.p, found.log_normal, found.exponential_p]).all()


def test_equal_values_at_the_start_belong_to_the_tail():
    """Oracle: of a sample of ten values of 1 and a tail, a start of 1 takes all ten."""
    sample = np.concatenate([np.ones(10), pareto(30)])
    found = fit_power_law(sample)
    assert found.count == (sample >= found.start).sum()


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(InputError, match="finite"):
        fit_power_law([1.0, np.nan, 2.0])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_powerlaw_agrees(seed):
    """Oracle: the package of Alstott et al.; it looks at steps from one side, so starts may differ."""
    package = pytest.importorskip("powerlaw", reason="powerlaw is not installed: extra 'oracle'")
    sample = pareto(120, seed=seed)
    found = fit_power_law(sample)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = package.Fit(sample, xmin=found.start, verbose=False)
        ratio, p = fit.distribution_compare("power_law", "exponential", normalized_ratio=True)
        free = package.Fit(sample, verbose=False)
    assert fit.power_law.alpha == pytest.approx(found.alpha, rel=1e-9)
    assert pytest.approx(found.distance, abs=1.0 / found.count) == fit.power_law.D
    assert (ratio, p) == pytest.approx((found.exponential, found.exponential_p), rel=1e-2)
    assert free.power_law.alpha == pytest.approx(found.alpha, abs=2 * (found.alpha - 1) / found.count**0.5)
