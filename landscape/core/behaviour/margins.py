"""Margins of a classifier: how far the output of the true class is above that of the next."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

__all__ = ["margins", "quantile_interval"]

Array = NDArray[np.float64]


def margins(log_p: Array, labels: NDArray[np.int64]) -> Array:
    """f_y − max over other classes j of f_j (N,): below 0 where the answer is wrong.

    Args:
        log_p: Outputs, or logarithms of probabilities (N, C), which differ by a number for each example.
        labels: True classes (N,).
    """
    rows = np.arange(len(labels))
    own = log_p[rows, labels]
    others = log_p.copy()
    others[rows, labels] = -np.inf
    best = np.where(np.isnan(log_p).any(1), np.nan, others.max(1))
    gaps: Array = own - best
    return gaps


def quantile_interval(values: Array, share: float) -> tuple[float, float, float]:
    """A quantile of independent values with its 95 % interval by order statistics, which assumes no shape.

    The ends are the values whose ranks a binomial count of values below the quantile passes with 2.5 %; NaN
    where there are too few values for one, and everywhere if a value is NaN.

    Args:
        values: (N,).
        share: Of values below.

    Returns:
        Quantile, low and high end.
    """
    n = len(values)
    if not n or np.isnan(values).any():
        return (float("nan"),) * 3
    ordered = np.sort(values)
    low, high = int(binom.ppf(0.025, n, share)), int(binom.ppf(0.975, n, share)) + 1
    # rank r, from 1, is passed by the quantile if at most r − 1 values are below it
    found = float(np.quantile(values, share))
    return (
        found,
        float(ordered[low - 1]) if low >= 1 else float("nan"),
        float(ordered[high - 1]) if high <= n else float("nan"),
    )
