"""Errors of means over answers that come in clusters.

Several answers of one example say less than as many examples. The number of answers may differ between
clusters, so that a mean over all of them is a ratio of two sums over clusters; its error is that of the ratio
to first order (Cochran 1977, Sampling techniques, equation 6.13). Where each cluster holds one answer it is
the standard error of a mean.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from landscape.core.stats.hypothesis import wilson
from landscape.core.stats.intervals import answered_error

__all__ = [
    "cluster_means",
    "clustered_auroc",
    "clustered_change_error",
    "clustered_error",
    "clustered_wilson",
]

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


def clustered_error(values: Array, clusters: Integers) -> float:
    """Standard error of the mean of answers; NaN for fewer than two clusters, or if a value is NaN.

    Args:
        values: One number for each answer (m,).
        clusters: The cluster of each answer (m,), from 0 on without gaps.

    Example:
        >>> clustered_error(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0, 0, 1, 1]))
        0.5
    """
    counts = np.bincount(clusters)
    n = len(counts)
    if n < 2:
        return float("nan")
    deviations = np.bincount(clusters, values - values.mean())
    return float(np.sqrt(n / (n - 1) * (deviations**2).sum()) / len(values))


def clustered_change_error(
    values: Array, clusters: Integers, before: Array, clusters_before: Integers
) -> float:
    """Standard error of the change of a mean from other answers of the same clusters.

    Args:
        values: One number for each answer (m,).
        clusters: The cluster of each answer (m,).
        before: Of the answers whose mean is taken off (k,).
        clusters_before: The cluster of each of these (k,), named as in `clusters`.
    """
    _, places = np.unique(np.concatenate([clusters, clusters_before]), return_inverse=True)
    n = int(places.max()) + 1
    if n < 2:
        return float("nan")
    parts = (values, places[: len(values)]), (before, places[len(values) :])
    moved, former = (np.bincount(own, v - v.mean(), n) / len(v) for v, own in parts)
    return float(np.sqrt(n / (n - 1) * ((moved - former) ** 2).sum()))


def cluster_means(values: Array, clusters: Integers) -> Array:
    """Mean of the answers of each cluster (n,)."""
    means: Array = np.bincount(clusters, values) / np.bincount(clusters)
    return means


def clustered_wilson(values: Array, clusters: Integers, groups: Integers, number: int) -> tuple[Array, Array]:
    """95 % intervals of shares of groups of answers, such as bins, by Wilson's formula.

    The count of answers is replaced by as many independent ones as would give the clustered error of the
    share, p(1 − p)/error², at most their number. Where the share is 0 or 1 no error can be told, and each
    cluster counts as one answer. NaN for groups of fewer than two clusters.

    Args:
        values: From 0 to 1, one for each answer (m,).
        clusters: The cluster of each answer (m,).
        groups: The group of each answer (m,), below `number`; −1 for none.
        number: Number of groups g.

    Returns:
        Lower and upper ends, each (g,).

    Reference:
        Kott & Carr (1997), Developing an estimation strategy for a pesticide data program; compared by Franco
        et al. (2019), Comparative study of confidence intervals for proportions in complex sample surveys.
    """
    share, count = np.full(number, np.nan), np.full(number, np.nan)
    for group in range(number):
        inside = groups == group
        _, own = np.unique(clusters[inside], return_inverse=True)
        if not len(own) or own.max() < 1:
            continue
        chosen = values[inside]
        share[group] = chosen.mean()
        variance, spread = clustered_error(chosen, own) ** 2, share[group] * (1.0 - share[group])
        many = spread / variance if variance > 0 and spread > 0 else own.max() + 1.0
        count[group] = min(many, len(chosen))
    return wilson(share, count)


def clustered_auroc(scores: Array, inside: Array, outside: Array, clusters: Integers) -> tuple[float, float]:
    """P(score inside > score outside) + ½ P(equal) over weighted answers in clusters, and its standard error.

    Of answers that each weigh on one side alone, and each a cluster of its own, it is that of DeLong et al.
    (1988). NaN if a score or weight is NaN or a side has no weight; the error is NaN if one side has fewer
    than two clusters.

    Args:
        scores: One score for each answer (m,).
        inside: How much it weighs on the side that should have the higher scores (m,).
        outside: How much on the other (m,).
        clusters: The cluster of each answer (m,), from 0 on.

    Reference:
        Obuchowski (1997), Nonparametric analysis of clustered ROC curve data, equations 3 to 6.
    """
    a, b = inside.sum(), outside.sum()
    if np.isnan(scores).any() or np.isnan(a + b) or not a > 0 or not b > 0:
        return float("nan"), float("nan")
    _, place = np.unique(scores, return_inverse=True)

    def share_below(weights: Array) -> Array:
        by_score = np.bincount(place, weights)
        # ties by half
        shares: Array = (np.cumsum(by_score) - 0.5 * by_score)[place] / weights.sum()
        return shares

    below, above = share_below(outside), 1.0 - share_below(inside)
    value = float(inside @ below / a)
    parts = [
        np.bincount(clusters, weights * (placed - value)) / total
        for weights, placed, total in ((inside, below, a), (outside, above, b))
    ]
    sides = [np.bincount(clusters, weights) > 0 for weights in (inside, outside)]
    n = [int(side.sum()) for side in sides]
    if min(n) < 2:
        return value, float("nan")
    every = int((sides[0] | sides[1]).sum())
    factors = [k / (k - 1) for k in (*n, every)]
    variance = factors[0] * parts[0] @ parts[0] + factors[1] * parts[1] @ parts[1]
    error = np.sqrt(max(variance + 2.0 * factors[2] * (parts[0] @ parts[1]), 0.0))
    return value, float(answered_error(error, min(n)))
