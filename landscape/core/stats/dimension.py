"""How many dimensions points fill: participation ratio of their covariance, and TwoNN."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Participation", "participation_ratio", "two_nn"]

Array = NDArray[np.float64]


class Participation(NamedTuple):
    """A participation ratio.

    Attributes:
        value: (tr Σ)² / tr Σ²: number of directions if variance is shared evenly. NaN of fewer than five
            examples, or without variance.
        error: Its standard error over examples, by the jackknife.
    """

    value: float
    error: float


def participation_ratio(gram: Array) -> Participation:
    """Participation ratio of the covariance Σ of points, from their inner products (n, n).

    Both parts are free of the bias that few points in many dimensions bring: of the plain ratio of sample
    covariances n − 1 is the most, whatever Σ is. tr Σ² is the unbiased estimate of the squared norm of the
    covariance (Song et al. 2012, equation 5), (tr Σ)² the square of the unbiased tr Σ.

    Args:
        gram: Inner products of the points, about any origin.
    """
    n = len(gram)
    if n < 5 or not np.isfinite(gram).all():
        return Participation(float("nan"), float("nan"))
    means = gram.mean(0)
    gram = gram - means - means[:, None] + means.mean()  # no cancellation about a far origin
    norms = np.diagonal(gram).copy()
    if not norms.any():
        return Participation(float("nan"), float("nan"))
    off = gram - np.diag(norms)
    rows, squares = off.sum(1), np.square(off).sum(1)
    product = off @ rows

    def ratio(n: int, norm: Array, total: Array, square: Array, row: Array) -> Array:
        """From Σ K_ii, Σ K_ij, Σ K_ij², Σ_i (Σ_j K_ij)², over i ≠ j."""
        trace = (norm - (norm + total) / n) / (n - 1)
        second = (square + total**2 / ((n - 1) * (n - 2)) - 2.0 * row / (n - 2)) / (n * (n - 3))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(second > 0, trace**2 / second, np.nan)

    value = ratio(n, norms.sum(), rows.sum(), squares.sum(), np.square(rows).sum())
    # Without example k: its row and column leave each of the sums.
    without = ratio(
        n - 1,
        norms.sum() - norms,
        rows.sum() - 2.0 * rows,
        squares.sum() - 2.0 * squares,
        np.square(rows).sum() - np.square(rows) - 2.0 * product + squares,
    )
    error = np.sqrt((n - 1) / n * np.square(without - without.mean()).sum())
    return Participation(float(value), float(error))


def two_nn(gram: Array) -> float:
    """Dimension n / Σ ln(r₂/r₁) from the distances of each point to its two nearest, of distinct points.

    Points that lie on each other have r₁ = 0 and say nothing: all but one of them are left out. NaN of fewer
    than three distinct points. There is no standard error: of many dimensions and few points it is too high
    by more than chance (5.4 of a torus of five dimensions, from 256 points), which halving n shows.

    Args:
        gram: Inner products (n, n) of the points.

    Reference:
        Facco et al. (2017), Estimating the intrinsic dimension of datasets by a minimal neighborhood
        information, equation 5 (the likelihood's maximum in place of the line's fit).
    """
    if not np.isfinite(gram).all():
        return float("nan")
    norms = np.diagonal(gram)
    squares = norms[:, None] + norms - 2.0 * gram
    # what is less is rounding of the norms
    least = 16.0 * np.finfo(np.float64).eps * (norms[:, None] + norms)
    same = squares <= least
    first = ~np.tril(same, -1).any(1)
    squares = squares[np.ix_(first, first)]
    if len(squares) < 3:
        return float("nan")
    np.fill_diagonal(squares, np.inf)
    nearest = np.sort(np.partition(squares, 1, axis=1)[:, :2], axis=1)
    total = 0.5 * np.log(nearest[:, 1] / nearest[:, 0]).sum()
    return float(len(squares) / total) if total > 0 else float("nan")
