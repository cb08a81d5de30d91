"""The difference of two groups in units of their spread: Hedges' g, its interval, and Welch's test.

A difference of means says little to a reader who does not know the quantity; over the spread within groups it
can be compared between quantities. Of few values that spread is badly known, and the interval says so: of two
against two it is some thirty units wide.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from landscape.core.stats.intervals import standard_error

__all__ = ["Difference", "hedges_correction", "noncentrality_interval", "standardized_difference"]

Array = NDArray[np.float64]

TAILS = (0.025, 0.975)
STEPS = 48  # of bisection: each halves the interval
_NODES = np.linspace(-8.5, 8.5, 103)
"""Of trapezoidal sums, which converge fast for smooth functions that vanish at both ends."""


@dataclass(frozen=True)
class Difference:
    """Two groups compared; what cannot be told is NaN.

    Attributes:
        g: Hedges' g: difference of the means, first less second, over the pooled standard deviation, times
            `hedges_correction`.
        low: Lower end of its 95 % interval.
        high: Upper end.
        p: Two-sided p-value of equal means (Welch 1947). It is below 0.05 where the interval leaves out 0.
        counts: Values in each group.
        means: Mean of each group.
        errors: Standard error of each mean; NaN for a single value.
    """

    g: float
    low: float
    high: float
    p: float
    counts: tuple[int, int]
    means: tuple[float, float]
    errors: tuple[float, float]


def standardized_difference(first: ArrayLike, second: ArrayLike) -> Difference:
    """Compare two groups of independent values.

    The interval is that of a noncentral t-distribution. Its degrees of freedom are Satterthwaite's, so that
    groups may differ in spread; in groups of one size and one spread it is exact for normal values.

    Args:
        first: Values of one group (n,).
        second: Of the other (m,).

    Returns:
        The difference. A NaN among the values makes everything of its group NaN; a group of one value has a
        mean and no spread, so that there is no interval; nor is there of values without any spread.

    Reference:
        Hedges (1981), Distribution theory for Glass's estimator of effect size, equations 6e and 9; Steiger &
        Fouladi (1997), Noncentrality interval estimation; Welch (1947), The generalization of `Student's'
        problem when several different population variances are involved.

    Example:
        >>> found = standardized_difference([1.0, 2.0, 3.0], [3.0, 4.0, 5.0])
        >>> [round(v, 3) for v in (found.g, found.low, found.high, found.p)]
        [-1.596, -4.019, 0.15, 0.07]
    """
    samples = [np.asarray(v, dtype=np.float64).ravel() for v in (first, second)]
    n, m = (v.size for v in samples)
    with np.errstate(invalid="ignore", over="ignore"):
        means = tuple(float(v.mean()) if v.size else float("nan") for v in samples)
        errors = tuple(float(standard_error(v)) if v.size else float("nan") for v in samples)
        difference = means[0] - means[1]
        squares = sum(float(np.square(v - v.mean()).sum()) for v in samples if v.size)
        error = float(np.hypot(errors[0], errors[1]))
    nothing = float("nan")
    # Equal numbers differ by rounding: such a spread is none.
    scale = max((abs(v).max() for v in samples if v.size), default=0.0)
    known = np.isfinite(difference) and n + m > 2 and n > 0 < m and np.sqrt(squares) > 1e-12 * scale
    g = low = high = p = nothing
    if known:
        spread = float(np.sqrt(squares / (n + m - 2)))
        correction = hedges_correction(n + m - 2)
        g = correction * difference / spread
        if np.isfinite(error) and error > 0:
            from scipy.special import stdtr

            free = error**4 / sum(e**4 / (v.size - 1) for e, v in zip(errors, samples, strict=True))
            t = difference / error
            p = float(2.0 * stdtr(free, -abs(t)))
            ends = noncentrality_interval(t, free)
            low, high = (float(end * error / spread) for end in ends)
    return Difference(g, low, high, p, (n, m), (means[0], means[1]), (errors[0], errors[1]))


def hedges_correction(free: float) -> float:
    """Γ(f/2) / (√(f/2) Γ((f − 1)/2)), which takes the bias off a standardised difference (Hedges 1981, 6e).

    Example:
        >>> round(hedges_correction(10), 4)
        0.9227
    """
    from scipy.special import gammaln

    if free <= 1:  # the factor goes to 0, since the ratio then has no mean
        return float("nan")
    return float(np.exp(gammaln(free / 2) - gammaln((free - 1) / 2)) / np.sqrt(free / 2))


def noncentrality_interval(t: float, free: float, tails: tuple[float, float] = TAILS) -> Array:
    """The interval of the noncentrality δ of a t-distribution of which ``t`` was seen, (2,).

    P(T ≤ t; δ) = P(tS + Z ≥ δ), S = χ_f/√f and Z normal, so that the ends are quantiles of tS + Z. That sum
    is smooth, and found by quadrature however large t is, where series of the noncentral t-distribution fail.

    Args:
        t: What was seen.
        free: Degrees of freedom.
        tails: Probabilities of the lower end and of the upper one.
    """
    if not (np.isfinite(t) and free > 0):
        return np.full(2, np.nan)
    if t < 0:
        return -noncentrality_interval(-t, free, (1 - tails[1], 1 - tails[0]))[::-1]
    from scipy.special import gammaincinv

    # S lies below this but for a share of 1e-12
    reach = float(np.sqrt(2.0 * gammaincinv(free / 2, 1.0 - 1e-12) / free))
    low, high = np.full(2, -9.0), np.full(2, 9.0 + t * reach)
    for _ in range(STEPS):
        middle = (low + high) / 2
        above = _share_below(middle, t, free) >= np.asarray(tails)
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    found: Array = (low + high) / 2
    return found


def _share_below(w: Array, t: float, free: float) -> Array:
    """P(tS + Z ≤ w), t ≥ 0, for each w."""
    from scipy.special import gammainc, gammaln, ndtr

    if t == 0:
        return np.asarray(ndtr(w))
    if t > np.sqrt(2 * free):  # of the two the normal is the narrower one: S is taken as its distribution
        s = np.maximum(w[:, None] - _NODES, 0.0) / t
        weights = np.exp(-(_NODES**2) / 2)
        return np.asarray(gammainc(free / 2, free * s**2 / 2) @ weights / weights.sum())
    # ln S as the variable: its density is smooth, and no root or pole is at its end
    u = np.linspace(-60.0 if free < 3 else -14.0, 8.5, 241) / np.sqrt(2.0 * free)
    log = free * u - free * np.exp(2 * u) / 2 + free / 2 * np.log(free / 2) - gammaln(free / 2)
    density = 2.0 * np.exp(log)
    return np.asarray(ndtr(w[:, None] - t * np.exp(u)) @ density * (u[1] - u[0]))
