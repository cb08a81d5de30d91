"""What singular values say of a matrix: its ranks, and which of them stand out of noise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Bulk", "effective_rank", "marchenko_pastur_median", "noise_bulk", "stable_rank"]

Array = NDArray[np.float64]

TRACY_WIDOM_99 = 2.0234
"""What the largest eigenvalue of noise of known scale exceeds in one of 100 matrices, in its own units."""

LEAST = 10
"""Of fewer eigenvalues the median, and so the noise, is not known."""


def stable_rank(singular_values: ArrayLike) -> float:
    """‖W‖_F²/‖W‖₂²: never more than the rank; NaN for a matrix of zeros (Rudelson & Vershynin 2007).

    Example:
        >>> stable_rank([2.0, 1.0, 1.0])
        1.5
    """
    s = np.asarray(singular_values, dtype=np.float64)
    top = float(s.max(initial=0.0))
    return float(np.square(s / top).sum()) if top > 0 else float("nan")


def effective_rank(singular_values: ArrayLike) -> float:
    """Exp H(s/Σs) with Shannon's entropy H; NaN for a matrix of zeros.

    Reference:
        Roy & Vetterli (2007), The effective rank: a measure of effective dimensionality, equation 3.

    Example:
        >>> round(effective_rank([2.0, 2.0, 2.0, 0.0]), 6)
        3.0
    """
    s = np.asarray(singular_values, dtype=np.float64)
    total = float(s.sum())
    if not total > 0:
        return float("nan")
    p = s[s > 0] / total
    return float(np.exp(-(p * np.log(p)).sum()))


@dataclass(frozen=True)
class Bulk:
    """The noise that most eigenvalues of WᵀW/N look like, N the longer side of W.

    Attributes:
        scale: Standard deviation of an entry of W, if the bulk of W is noise.
        lower: Lower edge of the Marchenko-Pastur law of that scale.
        upper: Its upper edge.
        threshold: What of 100 matrices of noise one exceeds, or two of small ones, whose scale is less sure.
        spikes: Number of eigenvalues above the threshold; NaN where the noise is not known.
    """

    scale: float
    lower: float
    upper: float
    threshold: float
    spikes: float


def noise_bulk(singular_values: ArrayLike, rows: int, columns: int) -> Bulk:
    """Fit noise to the eigenvalues s²/N of a matrix, and count those that stand out.

    The scale is that at which the median of the Marchenko-Pastur law is the median of the eigenvalues: unlike
    the variance of the entries it does not grow with what stands out.

    Args:
        singular_values: All min(rows, columns) of them.
        rows: Rows of the matrix.
        columns: Its columns.

    Returns:
        The bulk; NaN for fewer than 10 eigenvalues, or if half of them are 0.

    Reference:
        Marchenko & Pastur (1967); Gavish & Donoho (2014), section III-E, for the median; Johnstone (2001),
        theorem 1.1, for how far the largest eigenvalue of noise lies from the edge.
    """
    short, long = sorted((rows, columns))
    eigenvalues = np.square(np.asarray(singular_values, dtype=np.float64)) / long
    middle = float(np.median(eigenvalues)) if len(eigenvalues) >= LEAST else 0.0
    if not middle > 0:
        return Bulk(*[float("nan")] * 5)
    ratio = short / long
    variance = middle / marchenko_pastur_median(ratio)
    lower, upper = (variance * (1.0 + sign * ratio**0.5) ** 2 for sign in (-1.0, 1.0))
    a, b = (long - 1.0) ** 0.5, short**0.5
    center, width = (a + b) ** 2, (a + b) * (1.0 / a + 1.0 / b) ** (1.0 / 3.0)
    threshold = variance * (center + TRACY_WIDOM_99 * width) / long
    return Bulk(variance**0.5, lower, upper, threshold, float((eigenvalues > threshold).sum()))


@lru_cache(maxsize=256)
def marchenko_pastur_median(ratio: float) -> float:
    """Median of the Marchenko-Pastur law of unit variance, for a ratio of sides in (0, 1].

    Example:
        >>> round(marchenko_pastur_median(1.0), 3)
        0.653
    """
    # With x = 1 + q + 2√q cos t the square roots of the density, which end vertically, become smooth.
    t = (np.arange(20_000) + 0.5) * np.pi / 20_000
    x = 1.0 + ratio + 2.0 * ratio**0.5 * np.cos(t)
    weights = np.sin(t) ** 2 / x
    share = np.cumsum(weights) / weights.sum()
    return float(np.interp(0.5, share, x))
