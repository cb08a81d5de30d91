"""Margins of a classifier: how far the output of the true class is above that of the next."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["margins"]

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
