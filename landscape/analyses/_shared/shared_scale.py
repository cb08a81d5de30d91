"""Scales that models share: set by most of them, so that a single odd one does not hide all others."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

__all__ = ["FAR", "SHARE", "typical_highest", "typical_lowest"]

SHARE = 0.1
"""Share of the models at either end that do not set a scale alone."""

FAR = 30.0
"""How many times beyond the others a model has to lie to be left out of account."""


def typical_lowest(values: Iterable[float], default: float = 1.0) -> float:
    """The smallest of positive values, one of each model, unless it lies `FAR` below the quantile of `SHARE`.

    Then that quantile. Values that are not positive or not finite do not count.

    Args:
        values: One of each model.
        default: What to take if there is none.

    Example:
        >>> typical_lowest([1e-9, 0.2, 0.3, 0.4]), typical_lowest([0.1, 0.2, 0.3])
        (0.2, 0.1)
    """
    known = _positive(values)
    if not known.size:
        return default
    quantile = float(np.quantile(known, SHARE, method="higher"))
    # of two models alone neither is the odd one
    return quantile if known.size > 2 and FAR * known[0] < quantile else float(known[0])


def typical_highest(values: Iterable[float], default: float = 1.0) -> float:
    """The largest of positive values, as `typical_lowest` takes the smallest.

    Example:
        >>> typical_highest([1e9, 0.2, 0.3, 0.4]), typical_highest([0.1, 0.2, 0.3])
        (0.4, 0.3)
    """
    known = _positive(values)
    if not known.size:
        return default
    quantile = float(np.quantile(known, 1.0 - SHARE, method="lower"))
    return quantile if known.size > 2 and known[-1] > FAR * quantile else float(known[-1])


def _positive(values: Iterable[float]) -> NDArray[np.float64]:
    found = np.fromiter(values, np.float64)
    return np.sort(found[np.isfinite(found) & (found > 0)])
