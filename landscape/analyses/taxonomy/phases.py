"""Phases of a load-temperature grid, thresholds found from the data, and rank correlations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landscape.core.stats.bootstrap import draw_rows, percentile_interval

__all__ = [
    "PHASES",
    "SPLITS",
    "Thresholds",
    "find_thresholds",
    "phases",
    "resampled_mean",
    "resampled_spearman",
    "spearman",
    "two_medians",
]

Array = NDArray[np.float64]
Names = NDArray[np.str_]

PHASES = ("I", "II", "III", "IV-A", "IV-B")
SPLITS = ("sharpness", "connectivity", "similarity")
UNIT = 1.0  # percentage point of training error: gaps below it are as good as none


@dataclass(frozen=True)
class Thresholds:
    """Where phases part.

    Attributes:
        sharpness: Of ln λ_max: sharp above, flat at or below.
        connectivity: Of the mode connectivity: connected at or above, poorly connected below.
        similarity: Of CKA, among flat and connected cells: similar at or above.
    """

    sharpness: float
    connectivity: float
    similarity: float

    def values(self) -> tuple[float, float, float]:
        """In the order of `SPLITS`."""
        return self.sharpness, self.connectivity, self.similarity


def two_medians(values: Array) -> tuple[float, float]:
    """Split numbers into two groups with the least sum of distances to the groups' medians.

    Distances, not squares (as in Otsu's method or 2-means): a long tail then does not draw the border to
    itself.

    Args:
        values: Shape (n,); NaN is left out.

    Returns:
        The border, midway between the groups, and the share of the sum of distances to the common median
        that the split removes (0 to 1); NaN for both with fewer than two different values.

    Example:
        >>> two_medians(np.array([0.0, 0.1, 0.2, 4.0, 4.1, 9.0]))[0]
        2.1
    """
    x = np.sort(values[np.isfinite(values)])
    if x.size < 2 or x[0] == x[-1]:
        return float("nan"), float("nan")
    left = _spreads(x)
    right = _spreads(-x[::-1])[::-1]
    cost = left[1:-1] + right[1:-1]  # the first k on the left, k = 1 .. n-1
    # Equal values must fall on one side.
    cost[x[1:] == x[:-1]] = np.inf
    k = int(np.argmin(cost)) + 1
    return float((x[k - 1] + x[k]) / 2), float(1 - cost[k - 1] / left[-1])


def _spreads(x: Array) -> Array:
    """Sum of distances to their median of the first k of sorted numbers, k = 0 .. n."""
    sums = np.concatenate([[0.0], np.cumsum(x)])
    k = np.arange(x.size + 1)
    # The sum of the upper half less that of the lower one: the median itself drops out.
    return np.asarray(sums - sums[(k + 1) // 2] - sums[k // 2])


def find_thresholds(
    sharpness: Array, connectivity: Array, similarity: Array, given: tuple[float | None, ...]
) -> tuple[Thresholds, tuple[float, float, float]]:
    """Thresholds of a grid: those given, and two-median splits for the others.

    The mode connectivity is split on the scale -ln(1 + gap / 1 point), gap = max(-mc, 0), and not nearer
    to zero than one point of training error. CKA is split among flat and connected cells.

    Args:
        sharpness: ln λ_max of each cell, shape (n,).
        connectivity: Mode connectivity in points of training error, shape (n,).
        similarity: CKA, shape (n,).
        given: A number or ``None`` for each of `SPLITS`.

    Returns:
        The thresholds, and how much spread each split removes, see `two_medians`; NaN where given.
    """
    nothing = float("nan")
    sharp, sharp_gain = (given[0], nothing) if given[0] is not None else two_medians(sharpness)
    gap = np.log1p(np.maximum(-connectivity, 0.0) / UNIT)
    if given[1] is not None:
        connected, gap_gain = given[1], nothing
    else:
        border, gap_gain = two_medians(gap)
        connected = -max(UNIT * float(np.expm1(border)), UNIT) if np.isfinite(border) else -UNIT
    good = (sharpness <= sharp) & (connectivity >= connected)
    alike, alike_gain = (given[2], nothing) if given[2] is not None else two_medians(similarity[good])
    return Thresholds(sharp, connected, alike), (sharp_gain, gap_gain, alike_gain)


def phases(sharpness: Array, connectivity: Array, similarity: Array, at: Thresholds) -> Names:
    """The phase of each cell, shape (n,); an empty name where a number that decides it is NaN."""
    names = np.full(sharpness.shape, "", dtype="<U4")
    known = np.isfinite(sharpness) & np.isfinite(connectivity) & np.isfinite(at.sharpness)
    sharp, connected = sharpness > at.sharpness, connectivity >= at.connectivity
    names[known & sharp & ~connected] = "I"
    names[known & sharp & connected] = "II"
    names[known & ~sharp & ~connected] = "III"
    good = known & ~sharp & connected & np.isfinite(similarity) & np.isfinite(at.similarity)
    names[good & (similarity < at.similarity)] = "IV-A"
    names[good & (similarity >= at.similarity)] = "IV-B"
    return names


def spearman(x: Array, y: Array) -> Array:
    """Spearman's correlation along the last axis (..., n), ties at mean ranks; NaN if one is constant."""
    from scipy.stats import rankdata

    # By hand: scipy's spearmanr correlates all columns with one another, not many pairs of rows at once.
    a, b = (rankdata(v, axis=-1) for v in (x, y))
    a, b = (v - v.mean(axis=-1, keepdims=True) for v in (a, b))
    scale = np.sqrt((a**2).sum(axis=-1) * (b**2).sum(axis=-1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(scale > 0, (a * b).sum(axis=-1) / scale, np.nan))


def resampled_spearman(
    x: Array, y: Array, resamples: int, level: float, rng: np.random.Generator
) -> tuple[float, float, float, int]:
    """Spearman's correlation of two columns and its percentile bootstrap interval over cells.

    Returns:
        Value, low, high, and the number of cells in which both are finite.
    """
    both = np.isfinite(x) & np.isfinite(y)
    x, y = x[both], y[both]
    if x.size < 3:
        return float("nan"), float("nan"), float("nan"), int(x.size)
    rows = draw_rows(x.size, resamples, rng)
    low, high = _interval(spearman(x[rows], y[rows]), level, x.size)
    return float(spearman(x, y)), low, high, int(x.size)


def resampled_mean(
    values: Array, resamples: int, level: float, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Mean and percentile bootstrap interval; NaN without values, no interval for a single one."""
    values = values[np.isfinite(values)]
    if values.size < 2:
        return (float(values[0]) if values.size else float("nan")), float("nan"), float("nan")
    rows = draw_rows(values.size, resamples, rng)
    return float(values.mean()), *_interval(values[rows].mean(axis=1), level, values.size)


def _interval(draws: Array, level: float, cells: int) -> tuple[float, float]:
    low, high = percentile_interval(draws, ((1 - level) / 2, (1 + level) / 2), finite=True, examples=cells)
    return float(low), float(high)
