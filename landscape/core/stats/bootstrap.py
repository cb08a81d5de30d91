"""The bootstrap: examples drawn anew with replacement, and what their spread says (Efron & Tibshirani 1993).

A statistic that is a ratio or function of means needs only how often each example is drawn, its counts: all
resamples are then one matrix product. The same n, number and seed give the same draws everywhere, so that
statistics of the same examples are paired. A single example says nothing of its spread: its counts are NaN,
and so are the intervals made of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from landscape.core.stats.intervals import expanded

__all__ = [
    "TAILS",
    "draw_blocks",
    "draw_counts",
    "draw_rows",
    "each_draw",
    "folded_interval",
    "percentile_interval",
    "pivotal_interval",
    "resampled_error",
    "resampled_means",
    "widest_interval",
]

Array = NDArray[np.float64]

TAILS = (0.025, 0.975)
"""Of the 95 % percentile interval; (1 − 0.95)/2 would be another number in its last bit."""

CHUNK = 2**22
"""Counts held at once."""


@lru_cache(maxsize=4)  # every layer of a network asks for the same ones
def draw_counts(n: int, resamples: int, seed: int) -> Array:
    """How often each of n examples is drawn in each resample, (resamples, n).

    Example:
        >>> counts = draw_counts(5, 3, 0)
        >>> counts.shape, counts.sum(1).tolist()
        ((3, 5), [5.0, 5.0, 5.0])
    """
    if n < 2:  # each draw would be the example itself, and the interval of width zero
        return np.full((resamples, n), np.nan)
    # As floats: each product with whole numbers would make such a copy of its own.
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1.0 / n), size=resamples).astype(np.float64)


def draw_rows(n: int, resamples: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Which of n examples are drawn, (resamples, n): for statistics of ranks, which counts do not give."""
    return generator.integers(0, n, (resamples, n))


def each_draw(n: int, resamples: int, seed: int) -> Iterator[Array]:
    """The counts (n,) of one resample after another, for n too large to hold all."""
    generator = np.random.default_rng(seed)
    for _ in range(resamples):
        if n < 2:
            yield np.full(n, np.nan)
            continue
        yield np.bincount(generator.integers(n, size=n), minlength=n).astype(np.float64)


def draw_blocks(n: int, resamples: int, seed: int, size: int | None = None) -> Iterator[Array]:
    """The counts of `each_draw` in blocks (rows, n), for products with matrices.

    Where all of them fit into one block they are kept: the passes of one analysis ask for the same ones.

    Args:
        n: Examples.
        resamples: Number of resamples.
        seed: Their seed.
        size: What a row grows to where it is used, which decides how many make a block; by default, n.
    """
    rows = max(CHUNK // max(size or n, n, 1), 1)
    if rows >= resamples:
        yield _kept_counts(n, resamples, seed)
        return
    draws = each_draw(n, resamples, seed)
    while block := list(islice(draws, rows)):
        yield np.stack(block)


@lru_cache(maxsize=2)
def _kept_counts(n: int, resamples: int, seed: int) -> Array:
    return np.stack(list(each_draw(n, resamples, seed)))


def resampled_means(examples: Array, resamples: int, seed: int) -> Array:
    """Means over the last axis of ``examples`` (k, n), drawn alike for all k: (resamples, k).

    The draws are those of `draw_counts`, made in blocks.
    """
    n = examples.shape[1]
    if n < 2:
        return np.full((resamples, len(examples)), np.nan)
    generator, rows = np.random.default_rng(seed), max(CHUNK // n, 1)
    parts = []
    for start in range(0, resamples, rows):
        counts = generator.multinomial(n, np.full(n, 1.0 / n), size=min(rows, resamples - start))
        parts.append(counts @ examples.T / n)
    return np.concatenate(parts)


def percentile_interval(
    draws: ArrayLike,
    tails: tuple[float, float] = TAILS,
    *,
    finite: bool = False,
    examples: int | None = None,
) -> Any:
    """Quantiles of a statistic over its resamples (axis 0): the lower end, then the upper one.

    Args:
        draws: The statistic in each resample, (resamples, ...).
        tails: Which quantiles.
        finite: Whether to leave out resamples in which the statistic (resamples,) is undefined, and to
            return NaN if that is all of them. Otherwise NaN in a resample makes the interval NaN.
        examples: How many examples were resampled: of few, the quantiles lie further out
            (`landscape.core.stats.intervals.expanded`).

    Example:
        >>> percentile_interval([0.0, 1.0, 2.0, np.nan], (0.0, 1.0), finite=True).tolist()
        [0.0, 2.0]
    """
    values: Any = np.asarray(draws)
    tails = tails if examples is None else expanded(tails, examples)
    if finite:
        values = values[np.isfinite(values)]
        if not values.size:
            return np.full(2, np.nan)
    return np.quantile(values, tails, axis=0)


def pivotal_interval(value: float, draws: ArrayLike, *, examples: int) -> Any:
    """The 95 % interval of a statistic that is biased: its quantiles over resamples, mirrored at its value.

    What resampling adds to the statistic is what sampling had added already (Davison & Hinkley 1997, section
    5.2: the basic interval), so that the interval lies where the percentile interval's mirror image does, and
    its bias is gone to first order. It may leave the value outside.

    Args:
        value: The statistic.
        draws: It in each resample, (resamples,).
        examples: How many examples were resampled, as in `percentile_interval`.

    Example:
        >>> pivotal_interval(1.0, np.linspace(1.0, 3.0, 1001), examples=1000).round(3).tolist()
        [-0.95, 0.95]
    """
    return 2.0 * value - percentile_interval(draws, examples=examples)[::-1]


def widest_interval(value: float, draws: ArrayLike, *, examples: int) -> Any:
    """The smallest interval that holds the percentile interval and the pivotal one.

    For the largest of several means. Where one of them is far above the others, both intervals agree; where
    several are nearly equal, the largest is biased upwards, which doubles in the percentile interval, while
    the pivotal one fails where the statistic cannot fall below a limit.
    """
    both = percentile_interval(draws, examples=examples), pivotal_interval(value, draws, examples=examples)
    return np.array([min(b[0] for b in both), max(b[1] for b in both)])


def folded_interval(parts: Array, draws: Array, *, examples: int) -> Array:
    """The 95 % interval of a sum of absolute values of means, as of gaps in bins, which noise raises.

    Where all true means are 0, Σ|gₖ| is well above 0, and its resamples are farther above. So the interval
    holds the sums s for which what was seen is nothing odd: were the true means s/Σ|gₖ| times those seen,
    with noise like that of the resamples, then at least 2.5 % of samples would have a sum as large as what
    was seen, and as many one as small (the inversion of a test). The noise is mirrored, so that where no sign
    is in doubt, the interval is the percentile interval of the mean.

    It may leave the value outside. Of a value so small that noise alone makes more of nothing, it reaches
    from 0 to the value.

    Args:
        parts: The means gₖ, (bins,).
        draws: They in each resample, (resamples, bins).
        examples: How many examples were resampled, as in `percentile_interval`.

    Returns:
        Both ends (2,), none below 0; NaN where parts or draws are.
    """
    noise = parts - draws
    value = float(np.abs(parts).sum())
    most = float(np.abs(noise).sum(1).max())
    if not np.isfinite(value + most):
        return np.full(2, np.nan)
    tails = expanded(TAILS, examples)
    places = np.linspace(0.0, value + most, 101)  # beyond, all samples lie above the value
    scales = places / value if value else np.zeros_like(places)
    low, high = np.quantile([np.abs(c * parts + noise).sum(1) for c in scales], tails, axis=1)
    if not value:
        return np.array([0.0, high[0]])
    first = int(np.argmax(high >= value))
    last = len(places) - 1 - int(np.argmax(low[::-1] <= value))
    return np.array([_crossing(places, high, value, first - 1), _crossing(places, low, value, last)])


def _crossing(places: Array, heights: Array, value: float, index: int) -> float:
    """Where a curve of these heights passes a value, between one place and the next."""
    if index < 0:
        return 0.0
    if index == len(places) - 1:  # it passes it nowhere
        return value
    below, above = heights[index : index + 2]
    share = (value - below) / (above - below) if above > below else 0.0
    return float(places[index] + share * (places[index + 1] - places[index]))


def resampled_error(means: Array, n: int) -> float:
    """Standard error of a mean of n examples from its resamples, by n/(n − 1) unbiased in the variance.

    The variance among resamples is on average (n − 1)/n of that of the mean (Efron & Tibshirani 1993,
    section 5.3): with 5 examples the error would be 11 % too small.
    """
    return float(means.std(ddof=1) * np.sqrt(n / (n - 1)))
