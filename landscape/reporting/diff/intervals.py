"""95 % intervals of a difference: of two numbers with errors, of examples in pairs, of two samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

__all__ = ["Estimate", "Gap", "between", "of_pairs", "of_samples"]

_NORMAL = float(stats.norm.ppf(0.975))


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval, which is NaN where none is known."""

    value: float
    low: float = float("nan")
    high: float = float("nan")

    @classmethod
    def of_error(cls, value: float, error: float) -> Estimate:
        """A number with a standard error; one of a normal law, as the analyses report them."""
        return cls(value, value - _NORMAL * error, value + _NORMAL * error)


@dataclass(frozen=True)
class Gap:
    """A difference with its 95 % interval.

    Attributes:
        value: B minus A.
        low: Lower end; NaN if no interval is known.
        high: Upper end.
        how: What the interval is of: ``errors``, ``pairs`` or ``models``; empty without one.
    """

    value: float
    low: float = float("nan")
    high: float = float("nan")
    how: str = ""

    @property
    def strength(self) -> float:
        """The difference in half widths of its interval, towards zero; beyond ±1 that leaves out zero.

        NaN without an interval, or with one of no width.

        Example:
            >>> Gap(3.0, 1.0, 5.0, "errors").strength, Gap(-1.0, -3.0, 1.0, "errors").strength
            (1.5, -0.5)
        """
        half = self.value - self.low if self.value > 0 else self.high - self.value
        return float(self.value / half) if half > 0 else float("nan")

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return bool(self.low > 0 or self.high < 0)


def between(a: Estimate, b: Estimate) -> Gap:
    """The difference of two numbers that were measured apart, from the interval of each.

    The ends are those of Zou and Donner, *Construction of confidence limits about effect measures*
    (Statistics in Medicine 2008): exact for normal errors, and for intervals that are longer on one side, as
    those of shares are, longer on that side. Errors that the two have in common, such as those of the same
    examples, make it too wide.

    Example:
        >>> between(Estimate(1.0, 0.7, 1.3), Estimate(2.0, 1.6, 2.4))
        Gap(value=1.0, low=0.5, high=1.5, how='errors')
    """
    value = b.value - a.value
    down = float(np.hypot(b.value - b.low, a.high - a.value))
    up = float(np.hypot(b.high - b.value, a.value - a.low))
    if not (np.isfinite(down) and np.isfinite(up)):
        return Gap(value)
    return Gap(value, value - down, value + up, "errors")


def of_pairs(a: ArrayLike, b: ArrayLike) -> Gap:
    """The mean difference of the same examples in two models, with Student's interval over the pairs.

    Args:
        a: One number for each example, in the first model.
        b: The same examples in the second. A pair of which one number is not finite is left out.
    """
    apart = np.asarray(b, dtype=np.float64) - np.asarray(a, dtype=np.float64)
    apart = apart[np.isfinite(apart)]
    if apart.size == 0:
        return Gap(float("nan"))
    value = float(apart.mean())
    if apart.size < 2:
        return Gap(value)
    half = float(stats.t.ppf(0.975, apart.size - 1) * apart.std(ddof=1) / np.sqrt(apart.size))
    return Gap(value, value - half, value + half, "pairs")


def of_samples(a: Sequence[float], b: Sequence[float]) -> Gap:
    """The difference of the means of two samples of models, with Welch's interval.

    Args:
        a: A number of each model of the first sample; what is not finite is left out.
        b: Of each model of the second.

    Returns:
        Without an interval unless both have two models or more: of one model nobody knows how much another
        seed would have changed.
    """
    x, y = (np.asarray(v, dtype=np.float64)[np.isfinite(v)] for v in (a, b))
    if not x.size or not y.size:
        return Gap(float("nan"))
    value = float(y.mean() - x.mean())
    if min(x.size, y.size) < 2:
        return Gap(value)
    vx, vy = x.var(ddof=1) / x.size, y.var(ddof=1) / y.size
    total = float(vx + vy)
    if total == 0:
        return Gap(value)
    freedom = total**2 / (vx**2 / (x.size - 1) + vy**2 / (y.size - 1))
    half = float(stats.t.ppf(0.975, freedom) * np.sqrt(total))
    return Gap(value, value - half, value + half, "models")
