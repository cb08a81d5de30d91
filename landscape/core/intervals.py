"""Intervals of shares. Needs no torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["wilson"]

Array = NDArray[np.float64]


def wilson(share: Array, count: Array, z: float = 1.959964) -> tuple[Array, Array]:
    """95 % interval of a binomial share (Wilson 1927); NaN where nothing was counted."""
    with np.errstate(invalid="ignore", divide="ignore"):
        middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
        half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return middle - half, middle + half
