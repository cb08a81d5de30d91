"""R̂: whether the halves of several chains agree as much as draws of one distribution would."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from landscape.errors import InputError

__all__ = ["split_r_hat"]


def split_r_hat(draws: NDArray[np.floating]) -> NDArray[np.float64]:
    """The potential scale reduction of chains cut in half, by quantity: near 1 if the chains have mixed.

    With W the mean variance within halves of n draws and B/n the variance of their means,
    R̂ = √((n−1)/n + (B/n)/W). The middle draw of an odd number is left out. A quantity that no half varies in
    has no R̂ (NaN), or an infinite one if the halves stand at different places.

    Args:
        draws: (chains, draws, ...).

    Returns:
        R̂ by quantity, (...).

    Raises:
        InputError: If there are fewer than four draws of a chain.

    Reference:
        Gelman et al. (2013), Bayesian data analysis, third edition, section 11.4.
    """
    values = np.asarray(draws, dtype=np.float64)
    half = values.shape[1] // 2 if values.ndim > 1 else 0
    if half < 2:
        raise InputError(f"R̂ takes chains of four draws or more; got draws of shape {values.shape}.")
    parts = np.concatenate([values[:, :half], values[:, values.shape[1] - half :]])
    # from the first draw of each half on: means of equal numbers round, and what never varies must have 0
    steps = parts - parts[:, :1]
    within = steps.var(axis=1, ddof=1).mean(axis=0)
    between = (parts[:, 0] + steps.mean(axis=1)).var(axis=0, ddof=1)
    between = np.where((parts == parts[:1, :1]).all(axis=(0, 1)), 0.0, between)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.sqrt((half - 1) / half + between / within))
