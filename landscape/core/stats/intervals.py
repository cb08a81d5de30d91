"""Standard errors of means, and how far they have to reach where few values make them.

An error that is estimated from few values is itself uncertain, and most often too small: two errors of five
values cover 88 %. Student's factor makes up for it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "FEW",
    "all_equal_error",
    "answer_error",
    "answered_error",
    "expanded",
    "reach",
    "share_error",
    "standard_error",
]

Array = NDArray[np.float64]

FEW = 60
"""Values from which on 2 standard errors are a 95 % interval: Student's factor is 2.001 at 60."""

Z = 1.959964
"""The 97.5 % quantile of a normal law."""

EQUAL = 1e-12
"""Errors of answers, which lie between 0 and 1, up to which all of them are equal but for rounding."""


def standard_error(values: Any, axis: int = -1) -> Any:
    """s/√n of the mean over an axis of an array or tensor; NaN for a single value, or for ``None``.

    A value that is not finite makes the error NaN.

    Args:
        values: Independent values along ``axis``, of a tensor or an array.
        axis: That axis.

    Returns:
        The errors without that axis: a number for one axis, else an array, of a tensor a tensor.

    Example:
        >>> round(standard_error(np.array([1.0, 2.0, 6.0])), 6), standard_error(np.array([1.0]))
        (1.527525, nan)
    """
    if values is None:
        return float("nan")
    n = values.shape[axis]
    if not isinstance(values, np.ndarray):  # torch's, so that a tensor stays on its device
        error = values.std(dim=axis) / n**0.5 if n > 1 else values.sum(dim=axis) * float("nan")
        return float(error) if not error.ndim else error
    if n < 2:
        errors = np.full(np.delete(values.shape, axis), np.nan)
    else:
        with np.errstate(invalid="ignore", over="ignore"):
            errors = np.asarray(values.std(axis=axis, ddof=1) / n**0.5)
    return float(errors) if not errors.ndim else errors


def answer_error(values: Any, axis: int = -1) -> Any:
    """`standard_error` of answers, 0 for wrong to 1 for right; of equal ones `all_equal_error`, and not 0.

    Args:
        values: Independent answers along ``axis``, of a tensor or an array; ``None``: NaN.
        axis: That axis.
    """
    error = standard_error(values, axis)
    return error if values is None else answered_error(error, values.shape[axis])


def answered_error(error: Any, count: int) -> Any:
    """A standard error of ``count`` answers, or several; where all of them agree `all_equal_error`."""
    if count < 2:
        return error
    # in the errors' own type: of a tensor, a truth value times a number would be float32
    return error + (0.0 * error + (error <= EQUAL)) * all_equal_error(count)


def all_equal_error(count: int) -> float:
    """Standard error of a share of 0 or 1, of ``count`` answers of which all are equal.

    That all answers seen are right does not say that all are: s/√n would be an interval without width.
    `reach` of these errors is Wilson's interval of such a share, z²/(n + z²). NaN for fewer than two.

    Reference:
        Wilson (1927), Probable inference, the law of succession, and statistical inference; Brown et al.
        (2001), Interval estimation for a binomial proportion, section 3.1.

    Example:
        >>> round(2 * all_equal_error(100), 4)
        0.037
    """
    return Z**2 / (count + Z**2) / reach(count)


def share_error(values: Any, axis: int = -1) -> Any:
    """`standard_error` of changes of answers, 0 or 1; of n equal ones 1/(n + 2), and not 0.

    That none of n examples differs does not say that none would: an error of 0 would be an interval without
    width (Agresti & Min 2005 add as many that do).
    """
    count = values.shape[axis]
    error = standard_error(values, axis)
    if count < 2:
        return error
    return max(error, 1.0 / (count + 2)) if isinstance(error, float) else error.clip(1.0 / (count + 2))


def reach(count: float) -> float:
    """Standard errors on either side of a mean of ``count`` values that make a 95 % interval.

    Two, or Student's 97.5 % quantile with count − 1 degrees of freedom where that is more: for fewer than
    `FEW` values. NaN for fewer than two.

    Example:
        >>> [round(reach(n), 2) for n in (2, 5, 20, 1000)]
        [12.71, 2.78, 2.09, 2.0]
    """
    from scipy.special import stdtrit

    if count >= FEW:
        return 2.0
    return float(stdtrit(count - 1, 0.975)) if count >= 2 else float("nan")


def expanded(tails: tuple[float, float], count: float) -> tuple[float, float]:
    """Quantiles of resamples of ``count`` examples that cover what ``tails`` say.

    The spread of resampled means is too small by √((n − 1)/n), and the tails are those of a normal law, not
    Student's: both are made up for by quantiles further out (Hesterberg 2015, section 5.3, "expanded
    percentile interval"). From `FEW` examples on they are left as they are.

    Example:
        >>> [round(q, 4) for q in expanded((0.025, 0.975), 5)]
        [0.001, 0.999]
    """
    if not 2 <= count < FEW:
        return tails
    from scipy.special import ndtr, stdtrit

    low, high = (float(ndtr((count / (count - 1)) ** 0.5 * stdtrit(count - 1, q))) for q in tails)
    return low, high
