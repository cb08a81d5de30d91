"""Intervals of quantiles by order statistics, which assume no shape of the distribution."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["quantile_interval", "quantile_ranks"]

Array = NDArray[np.float64]


def quantile_ranks(count: int, share: float) -> tuple[int, int]:
    """Ranks, from 1, of the values at the ends of the 95 % interval of a quantile.

    The number of values below a quantile is binomial, whatever they are distributed as; each end is passed
    with a probability of at most 2.5 %. 0, or ``count`` + 1, where there are too few values for an end.

    Args:
        count: Of independent values.
        share: Of values below the quantile.

    Example:
        >>> quantile_ranks(100, 0.5)
        (40, 61)
    """
    from scipy.stats import binom

    return int(binom.ppf(0.025, count, share)), int(binom.ppf(0.975, count, share)) + 1


def quantile_interval(values: Array, share: float) -> tuple[float, float, float]:
    """A quantile of independent values with its 95 % interval.

    NaN for an end of which there are too few values, and everywhere if a value is NaN.

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
    low, high = quantile_ranks(n, share)
    return (
        float(np.quantile(values, share)),
        float(ordered[low - 1]) if low >= 1 else float("nan"),
        float(ordered[high - 1]) if high <= n else float("nan"),
    )
