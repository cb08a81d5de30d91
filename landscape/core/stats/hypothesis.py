"""Tests and errors of means and shares, and corrections for many tests."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from landscape.core.stats.bootstrap import draw_counts, resampled_error

__all__ = ["benjamini_hochberg", "holm", "mean_test", "row_slopes", "wilson"]

Array = NDArray[np.float64]


def row_slopes(x: ArrayLike, rows: ArrayLike) -> Array:
    """Least-squares slope against ``x`` (k,) of each row of ``rows`` (n, k)."""
    at: Any = np.asarray(x, dtype=np.float64)
    # Centred, so that no intercept has to be fitted: constants drop out of the product.
    at = at - at.mean()
    slopes: Array = np.asarray(rows, dtype=np.float64) @ at / (at @ at)
    return slopes


def mean_test(values: ArrayLike, resamples: int, seed: int) -> tuple[float, float, float]:
    """Mean of ``values`` (n,), its bootstrap standard error, and the p-value of a mean of zero.

    The p-value is two-sided, from Student's t with n − 1 degrees of freedom, so that it can be small
    enough to survive a correction for many layers, which counting resamples cannot. A mean of exactly
    zero has p = 1. NaN for fewer than two values or any NaN.
    """
    sample: Any = np.asarray(values, dtype=np.float64)
    n = len(sample)
    mean = float(sample.mean())
    if n < 2 or not np.isfinite(mean):
        return mean, float("nan"), float("nan")
    error = resampled_error(draw_counts(n, resamples, seed) @ sample / n, n)
    if mean == 0.0:
        return mean, error, 1.0
    # Values without any spread, and not zero, are as sure as can be.
    t = abs(mean) / error if error > 0 else np.inf
    from scipy import stats  # slow to import, and only needed here

    return mean, error, float(2.0 * stats.t.sf(t, n - 1))


def holm(p_values: ArrayLike) -> Array:
    """P-values corrected for their number by Holm (1979); NaN are left out of the count.

    Example:
        >>> holm([0.01, 0.04, 0.03]).round(6).tolist()
        [0.03, 0.06, 0.06]
    """
    p: Any = np.asarray(p_values, dtype=np.float64)
    corrected = np.full(p.shape, np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    # Holm stops at the first test that fails: no later one may get a smaller p-value.
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected


def benjamini_hochberg(p_values: ArrayLike) -> Array:
    """Q-values: the smallest rate of false discoveries at which each test would be one; NaN are not counted.

    Reference:
        Benjamini & Hochberg (1995), Controlling the false discovery rate.

    Example:
        >>> benjamini_hochberg([0.01, 0.04, 0.03]).round(6).tolist()
        [0.03, 0.04, 0.04]
    """
    p: Any = np.asarray(p_values, dtype=np.float64)
    corrected = np.full(p.shape, np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(-p[known], kind="stable")]
    count = len(order)
    # From the largest down: a test is a discovery wherever a larger p-value is one.
    corrected[order] = np.minimum.accumulate(p[order] * count / np.arange(count, 0, -1))
    return corrected


def wilson(share: Array, count: Array, z: float = 1.959964) -> tuple[Array, Array]:
    """95 % interval of a binomial share (Wilson 1927); NaN where nothing was counted.

    By hand, since `scipy.stats.binomtest` takes one whole number of successes at a time, and shares of
    weighted or averaged answers are no such numbers.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
        half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return middle - half, middle + half
