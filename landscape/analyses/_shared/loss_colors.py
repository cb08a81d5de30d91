"""Colours of fields of the loss: one range for all that are compared, and one rule for its scale."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from landscape.base.figure import ColorAxis

__all__ = ["LOG_RATIO", "loss_colors"]

LOG_RATIO = 20.0
"""A scale is logarithmic if the largest value exceeds the smallest so many times."""


def loss_colors(label: str, unit: str, fields: Iterable[NDArray[np.float64]]) -> ColorAxis:
    """One colour axis for all fields of a section, so that colours and heights of models can be compared.

    Args:
        label: The quantity.
        unit: Its unit.
        fields: Values of each model, NaN where there is none.

    Example:
        >>> loss_colors("loss", "nats/example", [np.array([1.0, 2.0]), np.array([np.nan, 90.0])])
        ColorAxis(label='loss', unit='nats/example', scale='log', limits=(1.0, 90.0), kind='sequential')
    """
    finite = [f[np.isfinite(f)] for f in map(np.asarray, fields)]
    values = np.concatenate([np.empty(0), *finite])
    if not values.size or values.min() == values.max():
        return ColorAxis(label, unit)
    low, high = float(values.min()), float(values.max())
    return ColorAxis(label, unit, "log" if 0 < LOG_RATIO * low < high else "linear", (low, high))
