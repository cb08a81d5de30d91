"""Streaming moments against NumPy on the whole stream."""

from __future__ import annotations

import numpy as np
import pytest

from landscape.core.stats.moments import Moments, merged


@pytest.mark.parametrize("sizes", [[50], [1] * 50, [20, 1, 29]])
def test_moments_are_those_of_the_whole(sizes):
    """Oracle: NumPy on all rows; a large mean costs nothing."""
    rows = np.random.default_rng(0).normal(1e6, 1.0, (50, 3))
    moments = Moments()
    for part in np.split(rows, np.cumsum(sizes)[:-1]):
        moments.add(part)
    assert moments.count == 50
    np.testing.assert_allclose(moments.mean, rows.mean(0), rtol=1e-14)
    np.testing.assert_allclose(moments.variance, rows.var(0, ddof=1), rtol=1e-8)
    np.testing.assert_allclose(moments.error, rows.std(0, ddof=1) / 50**0.5, rtol=1e-8)


def test_one_row_has_no_spread():
    """Oracle: undefined."""
    moments = Moments()
    moments.add(np.ones((1, 2)))
    assert np.isnan(moments.variance).all()


def test_two_parts_together():
    """Oracle: NumPy on all rows; a spread far below the mean is not lost."""
    x = 1e8 + np.random.default_rng(0).normal(size=30)
    parts = [(len(p), p.mean(), np.square(p - p.mean()).sum()) for p in (x[:7], x[7:])]
    count, mean, squares = merged(*parts)
    assert count == 30
    assert mean == pytest.approx(x.mean(), rel=1e-15)
    assert squares == pytest.approx(np.square(x - x.mean()).sum(), rel=1e-6)
