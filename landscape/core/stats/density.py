"""Weighted points on a line: Gaussian smoothing, and grids that resolve it. NumPy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from landscape.errors import InputError

__all__ = ["WEIGHTLESS", "gaussian_density", "node_spacing", "resolving_grid"]

Array = NDArray[np.float64]

REACH = 8.0  # widths beyond which a Gaussian counts as zero: exp(−32) ≈ 1e-14
CHUNK = 1 << 22  # terms of the sum held at once: 32 MiB of float64

WEIGHTLESS = 1e-12
"""A node of a quadrature of less weight stands for nothing: a recurrence ended before it."""


def node_spacing(nodes: Array, weights: Array, steps: int) -> float:
    """Distance of neighbouring nodes in the middle of a spectrum: no finer structure is resolved.

    Args:
        nodes: Of Gauss quadratures, outliers left out (probes, nodes).
        weights: Their weights (probes, nodes).
        steps: Lanczos steps of each.

    Returns:
        The distance; 0 without any node of weight.
    """
    held = nodes[weights > WEIGHTLESS]
    # Nodes lie as the extremes of a Chebyshev polynomial do: π/2 times as far apart as evenly in the middle.
    return float(np.pi * np.ptp(held) / (2.0 * steps)) if held.size else 0.0


def gaussian_density(points: ArrayLike, weights: ArrayLike, grid: ArrayLike, width: ArrayLike) -> Array:
    """Σ w_j N(t; x_j, width_j²) at each t of a grid.

    Args:
        points: x, shape (m,).
        weights: w, shape (m,); the density integrates to their sum.
        grid: t, shape (g,).
        width: Standard deviation of the kernel, in the unit of the points: one, or one per point (m,).

    Returns:
        The density (g,), per unit of the points.

    Raises:
        InputError: If a width is not positive.
    """
    x, w, t, s = (np.asarray(a, dtype=np.float64) for a in (points, weights, grid, width))
    if not (s > 0).all():
        raise InputError(f"the kernel width must be positive; got {s.min()}.")
    s = np.broadcast_to(s, x.shape)
    heights = w / (s * np.sqrt(2.0 * np.pi))
    density = np.zeros(len(t))
    step = max(1, CHUNK // max(len(x), 1))
    for start in range(0, len(t), step):
        z = (t[start : start + step, None] - x) / s
        density[start : start + step] = np.exp(-0.5 * z * z) @ heights
    return density


def resolving_grid(points: ArrayLike, width: float, *, per_width: int = 8) -> Array:
    """An increasing grid that resolves Gaussians of a given width about the points, and leaves out gaps.

    Steps are width/per_width within 8 widths of any point; the trapezoidal rule on it integrates a
    smoothed density to about 1e-9. Gaps, where the density vanishes, are crossed in one step.

    Args:
        points: x, shape (m,), not empty.
        width: The kernel's standard deviation.
        per_width: Grid points per width.

    Returns:
        The grid (g,).

    Raises:
        InputError: If the width is not positive.
    """
    if not width > 0:
        raise InputError(f"the kernel width must be positive; got {width}.")
    x = np.sort(np.asarray(points, dtype=np.float64))
    step = width / per_width
    # Over so wide a gap the Gaussians of both its sides have vanished.
    breaks = np.flatnonzero(np.diff(x) > 2 * REACH * width)
    starts = x[np.concatenate([[0], breaks + 1])] - REACH * width
    stops = x[np.concatenate([breaks, [len(x) - 1]])] + REACH * width
    pieces = [np.linspace(a, b, int(np.ceil((b - a) / step)) + 1) for a, b in zip(starts, stops, strict=True)]
    return np.concatenate(pieces)
