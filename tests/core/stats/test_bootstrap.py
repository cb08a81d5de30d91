"""The bootstrap's primitives against scipy, exact variances and each other."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from landscape.core.stats import bootstrap
from landscape.core.stats.bootstrap import (
    draw_blocks,
    draw_counts,
    draw_rows,
    each_draw,
    folded_interval,
    percentile_interval,
    pivotal_interval,
    resampled_error,
    resampled_means,
    widest_interval,
)


def test_counts_are_those_of_draws_with_replacement():
    """Oracle: each row sums to n, and a count is binomial with mean 1 and variance 1 − 1/n."""
    counts = draw_counts(20, 20000, 0)
    assert (counts.sum(1) == 20).all()
    assert counts.mean() == pytest.approx(1.0)
    assert counts.var(0) == pytest.approx(np.full(20, 0.95), rel=0.05)
    alone = np.stack(list(each_draw(20, 20000, 0)))
    assert (alone.sum(1) == 20).all()
    assert alone.var(0) == pytest.approx(np.full(20, 0.95), rel=0.05)
    rows = draw_rows(20, 20000, np.random.default_rng(0))
    assert np.bincount(rows.ravel(), minlength=20) == pytest.approx(np.full(20, 20000), rel=0.03)


def test_the_same_seed_draws_the_same():
    """Oracle: bits, also where the counts are made in blocks."""
    examples = np.random.default_rng(1).normal(size=(3, 11))
    whole = draw_counts(11, 50, 7) @ examples.T / 11
    np.testing.assert_array_equal(resampled_means(examples, 50, 7), whole)
    assert not np.array_equal(draw_counts(11, 50, 8), draw_counts(11, 50, 7))


def test_blocks_are_one_stream(monkeypatch):
    """Oracle: the same means from counts that are all held at once."""
    examples = np.random.default_rng(1).normal(size=(3, 11))
    whole = draw_counts(11, 50, 7) @ examples.T / 11
    monkeypatch.setattr(bootstrap, "CHUNK", 33)
    np.testing.assert_allclose(resampled_means(examples, 50, 7), whole, rtol=1e-14)


def test_an_interval_is_scipys():
    """Oracle: `scipy.stats.bootstrap`, with draws of its own: equal in distribution."""
    sample = np.random.default_rng(2).exponential(size=60)
    means = resampled_means(sample[None], 20000, 0)[:, 0]
    low, high = percentile_interval(means)
    theirs = stats.bootstrap((sample,), np.mean, n_resamples=20000, method="percentile", rng=3)
    assert low == pytest.approx(theirs.confidence_interval.low, rel=0.01)
    assert high == pytest.approx(theirs.confidence_interval.high, rel=0.01)
    assert means.std(ddof=1) == pytest.approx(theirs.standard_error, rel=0.02)


def test_the_error_of_a_mean_is_unbiased():
    """Oracle: s/√n, which is what infinitely many resamples give once corrected."""
    sample = np.random.default_rng(4).normal(size=5)
    means = resampled_means(sample[None], 200000, 0)[:, 0]
    assert resampled_error(means, 5) == pytest.approx(sample.std(ddof=1) / np.sqrt(5), rel=0.01)


def test_undefined_resamples():
    """Oracle: by hand: NaN spoils an interval unless undefined resamples are left out."""
    draws = np.array([np.nan, 1.0, 2.0, 3.0])
    assert np.isnan(percentile_interval(draws)).all()
    assert percentile_interval(draws, (0.0, 1.0), finite=True).tolist() == [1.0, 3.0]
    assert np.isnan(percentile_interval(np.full(3, np.nan), finite=True)).all()
    assert percentile_interval(np.ones((4, 2, 3))).shape == (2, 2, 3)


def test_one_example_says_nothing_of_its_spread():
    """Oracle: the variance of a sample of one is not defined; its interval was of width zero."""
    assert np.isnan(draw_counts(1, 5, 0)).all()
    assert np.isnan(resampled_means(np.ones((3, 1)), 5, 0)).all()
    assert all(np.isnan(counts).all() for counts in each_draw(1, 3, 0))
    assert np.isnan(percentile_interval(draw_counts(1, 5, 0) @ np.ones(1))).all()
    assert np.isnan(percentile_interval(draw_counts(1, 5, 0) @ np.ones(1), finite=True)).all()


def test_intervals_of_a_biased_statistic():
    """Oracle: the absolute mean of a normal sample, biased upwards by 0.4 s/√n where the mean is small.

    The pivotal interval is the mirror image of the percentile one, and covers a small truth far more often;
    the widest holds both.
    """
    rng = np.random.default_rng(0)
    counts = draw_counts(30, 400, 0)
    held = np.zeros(3)
    for _ in range(600):
        sample = rng.normal(0.05, 1.0, size=(3, 30))
        value, draws = np.abs(sample.mean(1)).mean(), np.abs(counts @ sample.T / 30).mean(1)
        ends = [percentile_interval(draws, examples=30)]
        ends += [f(value, draws, examples=30) for f in (pivotal_interval, widest_interval)]
        np.testing.assert_allclose(ends[1], 2 * value - ends[0][::-1])
        assert ends[2].tolist() == [min(e[0] for e in ends[:2]), max(e[1] for e in ends[:2])]
        held += [low <= 0.05 <= high for low, high in ends]
    assert (held / 600 > [0.0, 0.85, 0.85]).all()
    assert held[0] < 0.6 * held[1]


def gaps_of(n, bins, shift, rng):
    """Means over n examples of which each lies in one of some bins, and their resamples."""
    table = np.zeros((n, bins))
    table[np.arange(n), rng.integers(bins, size=n)] = rng.normal(shift, 1.0, n)
    return table.mean(0), draw_counts(n, 200, int(rng.integers(10**6))) @ table / n


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.5])
def test_folded_intervals_hold_sums_of_absolute_means(shift):
    """Oracle: the law that the examples are drawn from: each mean is a bin's share of the shift.

    Of ten bins and fifty examples, the sum is 0.36 too large where there is nothing; the pivotal interval
    held that in 37 % of samples.
    """
    rng = np.random.default_rng(0)
    held, pivotal = 0, 0
    for _ in range(120):
        parts, draws = gaps_of(50, 10, shift, rng)
        low, high = folded_interval(parts, draws, examples=50)
        held += low <= shift <= high
        value = np.abs(parts).sum()
        below, above = pivotal_interval(value, np.abs(draws).sum(1), examples=50).clip(0.0)
        pivotal += below <= shift <= above
    assert held >= 0.9 * 120
    assert shift or pivotal < 0.5 * 120


def test_folded_intervals_in_the_limits():
    """Oracle: of means whose signs are sure, the percentile interval of their plain sum; none of no noise.

    A value below what noise makes of nothing; NaN; and no means but 0.
    """
    rng = np.random.default_rng(1)
    parts, draws = gaps_of(2000, 3, 2.0, rng)
    want = percentile_interval(draws.sum(1), examples=2000)
    np.testing.assert_allclose(folded_interval(parts, draws, examples=2000), want, rtol=1e-3)
    np.testing.assert_allclose(folded_interval(-3 * parts, -3 * draws, examples=2000), 3 * want, rtol=1e-3)
    np.testing.assert_allclose(folded_interval(parts, np.tile(parts, (9, 1)), examples=2000), parts.sum())
    small = np.array([1e-3, 0.0])
    far = small + rng.choice([-1.0, 1.0], (50, 2))
    np.testing.assert_allclose(folded_interval(small, far, examples=100), [0.0, 1e-3])
    np.testing.assert_allclose(folded_interval(0 * small, far, examples=100), [0.0, 2.0], rtol=1e-2)
    assert np.isnan(folded_interval(small, far * np.nan, examples=1)).all()


def test_blocks_of_counts_are_the_counts(monkeypatch):
    """Oracle: `each_draw`, one after another; blocks of one row, of some and of all."""
    want = np.stack(list(each_draw(7, 10, 3)))
    assert len(list(draw_blocks(7, 10, 3))) == 1
    for rows in (1, 4):
        monkeypatch.setattr("landscape.core.stats.bootstrap.CHUNK", 14 * rows)
        blocks = list(draw_blocks(7, 10, 3, size=14))
        assert [len(b) for b in blocks][:2] == [rows, rows]
        np.testing.assert_array_equal(np.concatenate(blocks), want)
