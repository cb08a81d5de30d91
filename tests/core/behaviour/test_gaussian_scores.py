"""Scores of Gaussians and their mixtures against quadrature of the definitions, and against simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from landscape.core.behaviour import gaussian_scores as scores

MEANS = np.array([-1.0, 0.5, 4.0])
SDS = np.array([0.3, 1.0, 2.0])


def by_quadrature(cdf, y, low=-60.0, high=60.0):
    """∫ (F(z) − [z ≥ y])² dz, cut at the step."""
    inner, outer = (
        integrate.quad(f, a, b, limit=400, epsabs=1e-11)[0]
        for f, a, b in ((lambda z: cdf(z) ** 2, low, y), (lambda z: (cdf(z) - 1) ** 2, y, high))
    )
    return inner + outer


@pytest.mark.parametrize("y", [-2.0, 0.1, 3.7])
def test_crps_is_the_integral_of_its_definition(y):
    """Oracle: quadrature of the squared gap of the distribution functions."""
    for mean, sd in zip(MEANS, SDS, strict=True):
        got = float(scores.crps(np.array(y - mean), np.array(sd)))
        assert got == pytest.approx(
            by_quadrature(lambda z, m=mean, s=sd: stats.norm.cdf(z, m, s), y), abs=1e-8
        )


@pytest.mark.parametrize("y", [-2.0, 0.1, 3.7])
def test_the_scores_of_a_mixture_are_those_of_its_distribution(y):
    """Oracle: quadrature with the mean of the members' distribution functions; the density by scipy."""
    shape = (3, 1, 1)
    mean, variance, target = MEANS.reshape(shape), SDS.reshape(shape) ** 2, np.array([[y]])
    got = scores.mixture_crps(mean, variance, target).item()
    assert got == pytest.approx(by_quadrature(lambda z: stats.norm.cdf(z, MEANS, SDS).mean(), y), abs=1e-8)
    nll = scores.mixture_nll(mean, variance, target).item()
    assert nll == pytest.approx(-math.log(stats.norm.pdf(y, MEANS, SDS).mean()), rel=1e-12)


def test_a_mixture_of_one_is_a_gaussian_and_one_without_noise_its_sample():
    """Oracle: the score of a Gaussian; mean |x − y| − ½ mean |x − x′| written out, also in small blocks."""
    rng = np.random.default_rng(0)
    mean, target = rng.normal(size=(7, 5, 2)), rng.normal(size=(5, 2))
    one = scores.mixture_crps(mean[:1], np.full((1, 5, 2), 0.49), target)
    np.testing.assert_allclose(one, scores.crps(target - mean[0], np.full((5, 2), 0.7)), rtol=1e-12)
    sample = np.abs(mean - target).mean(0) - 0.5 * np.abs(mean[:, None] - mean[None]).mean((0, 1))
    got = scores.mixture_crps(mean, np.zeros_like(mean), target)
    np.testing.assert_allclose(got, sample, rtol=1e-12)
    whole, scores.CHUNK = scores.CHUNK, 70
    try:
        np.testing.assert_allclose(scores.mixture_crps(mean, np.zeros_like(mean), target), got, rtol=1e-12)
    finally:
        scores.CHUNK = whole


def test_scores_are_proper():
    """Oracle: of targets drawn from N(0, 1), the true mean and spread score best on average."""
    rng = np.random.default_rng(0)
    y = rng.standard_normal(20000)
    for error, sd in ((y - 0.3, 1.0), (y, 1.3), (y, 0.7)):
        spread, true = np.full(y.shape, sd), np.ones(y.shape)
        assert scores.crps(y, true).mean() < scores.crps(error, spread).mean()
        assert scores.nll(y, true).mean() < scores.nll(error, spread**2).mean()
        at = [scores.interval_score(e, s, 0.9).mean() for e, s in ((y, true), (error, spread))]
        assert at[0] < at[1]


def test_calibrated_targets_are_covered_as_they_should_be():
    """Oracle: binomial errors, four of them; Kolmogorov's test of ranks; spreads need no factor."""
    rng = np.random.default_rng(1)
    sd = rng.uniform(0.2, 3.0, 20000)
    error = sd * rng.standard_normal(20000)
    for level in (0.1, 0.5, 0.9):
        covered = scores.coverage(error, sd, level).mean()
        assert abs(covered - level) < 4 * math.sqrt(level * (1 - level) / 20000)
        np.testing.assert_allclose(scores.width(sd, level), 2 * stats.norm.ppf(0.5 + level / 2) * sd)
    assert stats.kstest(scores.pit(error, sd), "uniform").pvalue > 1e-3
    assert scores.best_scale(error, sd**2) == pytest.approx(1.0, abs=4 / math.sqrt(40000))


def test_the_interval_score_by_hand():
    """Oracle: 90 % of a standard Gaussian is 2 · 1.6449 wide; a miss by 1 costs 2/0.1."""
    half = stats.norm.ppf(0.95)
    got = scores.interval_score(np.array([0.0, half + 1.0]), np.ones(2), 0.9)
    np.testing.assert_allclose(got, [2 * half, 2 * half + 20.0])


def test_the_factor_of_least_nll():
    """Oracle: a fine search over factors."""
    error, variance = np.array([0.5, -2.0, 1.0]), np.array([1.0, 0.5, 2.0])
    factors = np.linspace(0.3, 4, 20001)
    losses = [scores.nll(error, f**2 * variance).mean() for f in factors]
    assert scores.best_scale(error, variance) == pytest.approx(factors[np.argmin(losses)], abs=2e-4)


def test_predictions_without_spread():
    """Oracle: limits: certain and wrong is infinitely bad, |error| in CRPS; NaN stays NaN."""
    error, zero = np.array([0.0, 2.0]), np.zeros(2)
    assert scores.nll(error, zero).tolist() == [-np.inf, np.inf]
    assert scores.crps(error, zero).tolist() == [0.0, 2.0]
    assert scores.coverage(error, zero, 0.5).tolist() == [1.0, 0.0]
    assert scores.pit(np.array([0.0, 2.0, -2.0]), np.zeros(3)).tolist() == [0.5, 1.0, 0.0]
    assert np.isinf(scores.best_scale(error, zero))
    missing = np.array([np.nan])
    assert np.isnan(scores.coverage(missing, np.ones(1), 0.5)).all()
    assert np.isnan(scores.best_scale(missing, np.ones(1)))
    variance = np.array([[[0.0]], [[1.0]]])
    assert np.isnan(scores.mixture_nll(np.zeros((2, 1, 1)), variance, np.zeros((1, 1)))).all()
