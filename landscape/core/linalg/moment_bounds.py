"""What Lanczos recurrences prove of the mass on either side of a value. NumPy only, for figures as well.

A rule of k nodes, one of them fixed at the cut c, that is exact for polynomials up to degree 2k − 2 brackets
the measure's distribution function: the weights strictly below c sum to no more than the mass below c, and
those at or below it to no less (Chebyshev, Markov, Stieltjes; Krein & Nudelman 1977, chapter III). What lies
between the two is what so many steps cannot tell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from landscape.core.stats.density import gaussian_density
from landscape.core.stats.intervals import reach, standard_error

__all__ = ["Bracket", "below", "between", "density_band", "gauss_radau", "smoothed"]

Array = NDArray[np.float64]

AT_ONCE = 2**22
"""Entries of the tridiagonal matrices that are diagonalised side by side."""

REACH = 4.0
"""Kernel widths beyond the outermost nodes in which mass is looked for."""

_ROUNDING = 1e-12
"""Of an eigenvalue, beside its residual."""

CELLS = 12
"""Cuts per kernel width when a distribution function is smoothed: the bracket is wider by a few percent."""


@dataclass(frozen=True)
class Bracket:
    """A mass, or a density, of which each probe's value is bracketed.

    Attributes:
        low: Lower ends, (probes, ...).
        high: Upper ends, alike.
    """

    low: Array
    high: Array

    @property
    def middle(self) -> Array:
        """The middle of the mean bracket, (...)."""
        return np.asarray((self.low + self.high).mean(0) / 2)

    @property
    def ends(self) -> tuple[Array, Array]:
        """The mean bracket: two arrays (...), exact for the mean over these probes."""
        return self.low.mean(0), self.high.mean(0)

    @property
    def sampling_error(self) -> Array:
        """Standard error of the middle over probes (...); NaN for one."""
        return np.asarray(standard_error((self.low + self.high) / 2, 0))

    def scaled(self, share: float, known: ArrayLike = 0.0) -> Bracket:
        """``share`` times this one, and beside it what is known, (...)."""
        known = np.asarray(known, dtype=np.float64)
        return Bracket(share * self.low + known, share * self.high + known)


def gauss_radau(alpha: Array, beta: Array, end: ArrayLike) -> Array:
    """Diagonals (..., k) changed in their last entry so that their Gauss rules have a node at ``end`` (...).

    The Gauss-Radau rule (Golub 1973): exact for polynomials up to degree 2k − 2, and with positive weights
    wherever the end lies.

    Example:
        >>> gauss_radau(np.array([1.0, 1.0]), np.array([0.5]), 0.0).tolist()
        [1.0, 0.25]
    """
    end = np.asarray(end, dtype=np.float64)
    limits = np.finfo(np.float64)
    # An end at a node of the rule with fewer steps leaves no pivot: moved by rounding, there is one.
    # Of a spectrum that is symmetric about 0 the diagonal vanishes, and the couplings give the scale.
    size = np.maximum(np.abs(alpha).max(-1), np.abs(beta).max(-1, initial=0.0))
    least = limits.eps * np.maximum(size, limits.tiny)
    above = np.zeros(
        np.broadcast_shapes(alpha.shape[:-1], end.shape)
    )  # β²/pivot in the elimination of T − end
    for row in range(beta.shape[-1]):
        square = beta[..., row] ** 2
        pivot = alpha[..., row] - end - above
        pivot = np.where(np.abs(pivot) < least, least, pivot)
        above = np.where(square > 0, square / pivot, 0.0)  # a recurrence that has ended begins anew
    changed = np.broadcast_to(alpha, (*above.shape, alpha.shape[-1])).copy()
    changed[..., -1] = end + above
    return changed


def gauss_rule(alpha: Array, beta: Array) -> tuple[Array, Array]:
    """Nodes and weights (..., k) of the Gauss rules of recurrences; the weights of each sum to 1."""
    shape = (*alpha.shape, alpha.shape[-1])
    matrix, index = np.zeros(shape), np.arange(alpha.shape[-1])
    matrix[..., index, index] = alpha
    matrix[..., index[1:], index[:-1]] = beta  # the lower half is all that is read
    nodes, vectors = np.linalg.eigh(matrix)
    return nodes, vectors[..., 0, :] ** 2


def below(alpha: ArrayLike, beta: ArrayLike, cuts: ArrayLike, *, rounding: float = 0.0) -> Bracket:
    """The share of each probe's measure below cuts, as a bracket (probes, cuts) from 0 to 1.

    Args:
        alpha: Diagonals of the recurrences (probes, k).
        beta: Their off-diagonals (probes, k − 1).
        cuts: Where to cut (cuts,).
        rounding: Nodes nearer to the cut than this may lie on either side of it.
    """
    a, b, c = (np.asarray(x, dtype=np.float64) for x in (alpha, beta, cuts))
    probes, steps = a.shape
    low, high = np.empty((probes, len(c))), np.empty((probes, len(c)))
    # One node of the rule is the cut itself, but for rounding of the largest.
    near = max(rounding, 1e-12 * max(np.abs(a).max(), np.abs(b).max(initial=0.0)))
    step = max(1, AT_ONCE // (probes * steps * steps))
    for start in range(0, len(c), step):
        ends = c[start : start + step, None]
        nodes, weights = gauss_rule(gauss_radau(a, b, ends), np.broadcast_to(b, (len(ends), *b.shape)))
        for sign, into in ((-1.0, low), (1.0, high)):
            inside = nodes <= ends[..., None] + sign * near
            into[:, start : start + step] = (weights * inside).sum(-1).T
    return Bracket(low.clip(0.0, 1.0), high.clip(0.0, 1.0))


def between(alpha: ArrayLike, beta: ArrayLike, low: float, high: float, *, rounding: float = 0.0) -> Bracket:
    """The share of each probe's measure between two cuts, as a bracket (probes,)."""
    found = below(alpha, beta, [low, high], rounding=rounding)
    least = (found.low[:, 1] - found.high[:, 0]).clip(0.0)
    return Bracket(least, found.high[:, 1] - found.low[:, 0])


def smoothed(
    alpha: ArrayLike, beta: ArrayLike, grid: ArrayLike, width: float | Callable[[Array], Array]
) -> Bracket:
    """Each probe's density under a Gaussian kernel, as a bracket (probes, grid).

    By parts, ∫K(t, x) dF(x) = −∫F dK. Where the kernel rises with x, F's lower bound gives the most and its
    upper bound the least; where it falls, the other way round.

    Args:
        alpha: Diagonals of the recurrences (probes, k).
        beta: Their off-diagonals (probes, k − 1).
        grid: Where, t (g,).
        width: The kernel's standard deviation, one or as a function of x.
    """
    a, b, t = (np.asarray(x, dtype=np.float64) for x in (alpha, beta, grid))
    nodes = gauss_rule(a, b)[0]
    first, last = float(nodes.min()), float(nodes.max())
    spread: Callable[[Array], Array] = width if callable(width) else lambda x: np.full(x.shape, float(width))
    finest = float(spread(np.linspace(first, last, 257)).min())
    # There may be mass beyond the outermost nodes, the less of it the farther.
    first, last = (
        end + sign * REACH * float(spread(np.array([end]))[0]) for end, sign in ((first, -1), (last, 1))
    )
    cuts = np.linspace(first, last, max(2, int(np.ceil((last - first) / finest * CELLS))) + 1)
    found = below(a, b, cuts)
    # Within a cell F is at least its lower bound at the left end, and at most its upper bound at the right.
    under = np.concatenate([np.zeros((len(a), 1)), found.low], 1)
    over = np.concatenate([found.high, np.ones((len(a), 1))], 1)
    scale = spread(cuts)
    kernel = np.zeros((len(t), len(cuts) + 2))  # it vanishes at both ends of the line
    kernel[:, 1:-1] = np.exp(-0.5 * ((t[:, None] - cuts) / scale) ** 2) / (scale * np.sqrt(2.0 * np.pi))
    change = np.diff(kernel, axis=1)
    up, down = change.clip(min=0.0), (-change).clip(min=0.0)
    # The peak lies within a cell, in which the kernel both rises and falls.
    here, cell = np.arange(len(t)), np.searchsorted(cuts, t)
    peak = 1.0 / (spread(t) * np.sqrt(2.0 * np.pi))
    before, after = peak - kernel[here, cell], kernel[here, cell + 1] - peak
    up[here, cell] = before.clip(min=0.0) + after.clip(min=0.0)
    down[here, cell] = (-before).clip(min=0.0) + (-after).clip(min=0.0)
    low = under @ down.T - over @ up.T
    low, high = (side.clip(min=0.0) for side in (low, over @ down.T - under @ up.T))  # but for rounding
    return Bracket(low, np.maximum(low, high))


def density_band(
    nodes: Array,
    weights: Array,
    alpha: Array,
    beta: Array,
    residuals: Array,
    grid: Array,
    width: Callable[[Array], Array],
) -> tuple[Array, Array, Array]:
    """The smoothed density of each probe (probes, grid), and the ends of a band about their mean (grid,).

    The band holds what the recurrences leave open and the error over probes, at 95 %, on either side; and
    the peaks of outliers wherever their residuals let them be.

    Args:
        nodes: Quadrature nodes: those of the bulk, then the outliers, alike for all probes (probes, nodes).
        weights: Their weights (probes, nodes).
        alpha: Diagonals of the bulk's recurrences (probes, k).
        beta: Their off-diagonals (probes, k − 1).
        residuals: Residual norms of the outliers (outliers,).
        grid: Where (g,).
        width: The kernel's standard deviation as a function of the place.
    """
    rows = np.array([gaussian_density(x, w, grid, width(x)) for x, w in zip(nodes, weights, strict=True)])
    outliers, bulk = nodes[0, alpha.shape[1] :], weights[0, : alpha.shape[1]].sum()
    spread, distance = width(outliers), np.abs(grid[:, None] - outliers)
    heights = weights[0, alpha.shape[1] :] / (spread * np.sqrt(2.0 * np.pi))
    # A peak lies within the residual of where it was found, or within rounding.
    reaches = residuals + _ROUNDING * np.abs(outliers)
    under, over = (
        np.exp(-0.5 * (np.clip(distance + side * reaches, 0.0, None) / spread) ** 2) @ heights
        for side in (1.0, -1.0)
    )
    if not alpha.shape[1]:
        return rows, under, over
    low, high = smoothed(alpha, beta, grid, width).scaled(bulk).ends
    low, high = low + under, high + over
    # A single probe has no error, and its bracket is all.
    error = np.nan_to_num(reach(len(rows)) * standard_error(rows, 0))
    return rows, (low - error).clip(min=0.0), high + error
