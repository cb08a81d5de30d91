"""Scores of Gaussian predictions of numbers: proper scores, intervals, and what spread says of errors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, ndtr, ndtri

__all__ = [
    "best_scale",
    "coverage",
    "crps",
    "interval_score",
    "mixture_crps",
    "mixture_nll",
    "nll",
    "pit",
    "width",
]

Array = NDArray[np.float64]

CHUNK = 1 << 20
"""Numbers of a block of pairs of draws in memory at a time."""


def nll(error: Array, variance: Array) -> Array:
    """−ln N(error; 0, variance) in nats; infinite where the variance is 0 and the error is not.

    Args:
        error: Target less mean.
        variance: Of the same shape.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        squares = np.where((variance == 0) & (error == 0), 0.0, error**2 / variance)
        values: Array = 0.5 * (np.log(2.0 * np.pi * variance) + squares)
    return np.where((variance == 0) & (error != 0), np.inf, values)


def mixture_nll(mean: Array, variance: Array, target: Array) -> Array:
    """−ln of the density of all D targets of an example under S draws of equal weight, in nats.

    The densities of several targets are multiplied within a draw, not between draws.

    Args:
        mean: Shape (S, N, D).
        variance: Shape (S, N, D); where one is 0, there is no density.
        target: Shape (N, D).

    Returns:
        Shape (N,); NaN where a draw has no density.
    """
    parts = -nll(target - mean, np.where(variance > 0, variance, np.nan)).sum(2)
    values: Array = np.log(len(mean)) - logsumexp(parts, axis=0)
    return values


def crps(error: Array, sd: Array) -> Array:
    """Continuous ranked probability score ∫ (F(z) − [z ≥ y])² dz of a Gaussian, in the unit of the error.

    It is |error| where the standard deviation is 0.

    Args:
        error: Target less mean.
        sd: Standard deviation, of the same shape.

    Reference:
        Gneiting & Raftery (2007), Strictly proper scoring rules, prediction, and estimation, equation 21.

    Example:
        >>> crps(np.array([0.0, 2.0]), np.array([1.0, 0.0])).round(4).tolist()
        [0.2337, 2.0]
    """
    values: Array = _mean_distance(error, sd) - sd / np.sqrt(np.pi)
    return values


def mixture_crps(mean: Array, variance: Array, target: Array) -> Array:
    """The same of a mixture of S Gaussians of equal weight, in closed form.

    Σ_s A(y − μ_s, σ_s²)/S − Σ_st A(μ_s − μ_t, σ_s² + σ_t²)/(2S²), A(m, v) = E|N(m, v)|. Draws without a
    variance make it the score of their empirical distribution.

    Args:
        mean: Shape (S, ...).
        variance: Shape (S, ...).
        target: Shape (...).

    Reference:
        Grimit et al. (2006), The continuous ranked probability score for circular variables, equation 5.
    """
    draws, count = len(mean), max(target.size, 1)
    first = _mean_distance(target - mean, np.sqrt(variance)).mean(0)
    total = np.zeros_like(first)
    step = max(1, CHUNK // (draws * count))
    for start in range(0, draws, step):
        gaps = mean[start : start + step, None] - mean[None]
        spread = np.sqrt(variance[start : start + step, None] + variance[None])
        total += _mean_distance(gaps, spread).sum((0, 1))
    values: Array = first - total / (2 * draws**2)
    return values


def _mean_distance(error: Array, sd: Array) -> Array:
    """E|N(error, sd²)|, which is |error| at sd = 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(sd > 0, error / sd, 0.0)
    spread = 2.0 * sd * np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)
    values: Array = np.where(sd == 0, np.abs(error), error * (2.0 * ndtr(z) - 1.0) + spread)
    return values


def pit(error: Array, sd: Array) -> Array:
    """F(y), the share of the predicted distribution below the target; uniform if predictions are right.

    ½ where both are 0.

    Args:
        error: Target less mean.
        sd: Standard deviation, of the same shape.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where((sd == 0) & (error == 0), 0.0, error / sd)
    values: Array = ndtr(z)
    return values


def width(sd: Array, level: float) -> Array:
    """Width of the central interval that holds a share `level` of a Gaussian."""
    values: Array = 2.0 * _half(level) * sd
    return values


def coverage(error: Array, sd: Array, level: float) -> Array:
    """1 where the central interval of a share `level` holds the target, else 0; NaN where a number is."""
    missing = np.isnan(error) | np.isnan(sd)
    return np.where(missing, np.nan, np.abs(error) <= _half(level) * sd)


def interval_score(error: Array, sd: Array, level: float) -> Array:
    """Width of the central interval, and 2/(1 − level) times how far the target lies outside of it.

    Args:
        error: Target less mean.
        sd: Standard deviation, of the same shape.
        level: Share of the Gaussian within the interval.

    Reference:
        Gneiting & Raftery (2007), Strictly proper scoring rules, prediction, and estimation, equation 43.
    """
    outside = np.maximum(np.abs(error) - _half(level) * sd, 0.0)
    values: Array = width(sd, level) + 2.0 / (1.0 - level) * outside
    return values


def best_scale(error: Array, variance: Array) -> float:
    """The factor on all standard deviations of least mean NLL: the root mean square of error/sd.

    Infinite where a variance is 0 and its error is not; 0 where no error is left.

    Args:
        error: Target less mean.
        variance: Of the same shape.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        squares = np.where(error == 0, 0.0, error**2 / variance)
    squares = np.where(np.isnan(error) | np.isnan(variance), np.nan, squares)
    return float(np.sqrt(squares.mean()))


def _half(level: float) -> float:
    """Half the width of the interval of a standard Gaussian."""
    return float(ndtri(0.5 + 0.5 * level))
