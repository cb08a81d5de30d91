"""Violin outline: the shape of a distribution, worked out once for all back ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from landscape.base.figure import Axis
from landscape.plotting.scales import from_symlog, symlog

__all__ = ["HALF_WIDTH", "ViolinOutline", "violin_outline"]

Array = NDArray[np.float64]

HALF_WIDTH = 0.4
"""Half the width of a violin at its widest, in units of x: neighbours at whole numbers do not touch."""

_POINTS = 120


@dataclass(frozen=True)
class ViolinOutline:
    """A violin in data values.

    Attributes:
        y: Where the outline is drawn (m,), from the smallest to the largest value.
        half: Half its width there (m,), in units of x.
        quartiles: The values that a quarter, a half and three quarters of the values do not exceed.
        count: Number of values.
    """

    y: Array
    half: Array
    quartiles: tuple[float, float, float]
    count: int


def violin_outline(values: ArrayLike, axis: Axis) -> ViolinOutline | None:
    """The outline of values along an axis; ``None`` if none of them can be shown on it.

    The density is estimated on the scale of the axis, with a Gaussian kernel of Silverman's width (1986,
    eq. 3.31), and ends at the extreme values. The widest place is as wide for all violins.

    Args:
        values: Any shape; NaN and infinities are left out, and values up to 0 on a log axis.
        axis: The axis that they are drawn along.
    """
    v = np.asarray(values, dtype=np.float64).ravel()
    v = v[np.isfinite(v) & ((v > 0) | (axis.scale != "log"))]
    if not v.size:
        return None
    positions = _along(v, axis)
    low, high = positions.min(), positions.max()
    # The quartiles of a Gaussian lie 1.34 σ apart. Unlike σ alone, they are not moved by a long tail.
    spread = min(positions.std(), np.subtract(*np.quantile(positions, [0.75, 0.25])) / 1.34)
    # Values that are mostly equal have no spread, yet must be seen.
    width = max(0.9 * spread * v.size**-0.2, 0.02 * (high - low))
    grid = np.linspace(low, high, _POINTS) if high > low else np.array([low])
    if width > 0:
        density = np.exp(-0.5 * np.square((grid[:, None] - positions) / width)).sum(1)
    else:
        density = np.ones(1)
    quartiles = _back(np.quantile(positions, [0.25, 0.5, 0.75]), axis)
    return ViolinOutline(
        y=_back(grid, axis),
        half=HALF_WIDTH * density / density.max(),
        quartiles=(float(quartiles[0]), float(quartiles[1]), float(quartiles[2])),
        count=v.size,
    )


def _along(values: Array, axis: Axis) -> Array:
    if axis.scale == "symlog":
        return symlog(values, axis.linthresh)
    return np.log10(values) if axis.scale == "log" else values


def _back(positions: Array, axis: Axis) -> Array:
    if axis.scale == "symlog":
        return from_symlog(positions, axis.linthresh)
    return 10.0**positions if axis.scale == "log" else positions
