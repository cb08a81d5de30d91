"""Mean and variance of a stream, in float64, without keeping the stream."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Moments", "merged"]


def merged(a: tuple[int, Any, Any], b: tuple[int, Any, Any]) -> tuple[int, Any, Any]:
    """Count, mean and sum of squared deviations of two parts together (Chan, Golub & LeVeque 1983).

    No difference of large squares is taken, so that a spread far smaller than the mean survives. Means and
    sums may be arrays or tensors.

    Example:
        >>> merged((2, 1.5, 0.5), (1, 6.0, 0.0))
        (3, 3.0, 14.0)
    """
    (n, mean, squares), (more, other, their) = a, b
    total, shift = n + more, other - mean
    return total, mean + shift * (more / total), squares + their + shift**2 * (n * more / total)


class Moments:
    """Mean and spread over the first axis of arrays that come in parts (Chan et al. 1983).

    Attributes:
        count: Rows seen.
        mean: Their mean; NaN before any.

    Example:
        >>> moments = Moments()
        >>> moments.add(np.array([1.0, 2.0]))
        >>> moments.add(np.array([6.0]))
        >>> float(moments.mean), float(moments.variance)
        (3.0, 7.0)
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean: Any = np.float64("nan")
        self._squares: Any = np.float64(0.0)

    def add(self, rows: Any) -> None:
        """Add rows (n, ...)."""
        rows = np.asarray(rows, dtype=np.float64)
        n, mean = len(rows), rows.mean(0)
        squares = np.square(rows - mean).sum(0)
        if self.count == 0:
            self.count, self.mean, self._squares = n, mean, squares
            return
        own = self.count, self.mean, self._squares
        self.count, self.mean, self._squares = merged(own, (n, mean, squares))

    @property
    def variance(self) -> Any:
        """Unbiased variance over the rows; NaN for fewer than two."""
        return self._squares / (self.count - 1) if self.count > 1 else self.mean * np.nan

    @property
    def error(self) -> Any:
        """Standard error of the mean; NaN for fewer than two rows."""
        return np.sqrt(self.variance / self.count) if self.count else np.nan
