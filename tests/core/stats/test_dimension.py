"""Participation ratio and TwoNN against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from landscape.core.stats.dimension import participation_ratio, two_nn


def gram(x):
    return x @ x.T


def torus(n, d, seed=0):
    angles = np.random.default_rng(seed).uniform(0, 2 * np.pi, (n, d))
    return np.concatenate([np.cos(angles), np.sin(angles)], 1)


def test_parts_of_the_ratio_are_unbiased():
    """Oracle: Gaussian points with eigenvalues 4, 1, 1: (Σλ)²/Σλ² = 36/18; in 100 equal directions, 100.

    The plain ratio of 40 points in 100 dimensions is below 39 however many there are.
    """
    rng = np.random.default_rng(0)
    for scales, want in (([2.0, 1.0, 1.0], 2.0), (np.ones(100), 100.0)):
        found = [
            participation_ratio(gram(rng.normal(size=(40, len(scales))) * scales + 50.0)) for _ in range(300)
        ]
        # of the inverse only one part is a ratio: its mean is that of an unbiased numerator, nearly
        inverse = [1 / p.value for p in found]
        assert np.mean(inverse) == pytest.approx(
            1 / want, abs=4 * np.std(inverse) / math.sqrt(300) + 0.02 / want
        )


def test_the_error_is_that_of_points_drawn_anew():
    """Oracle: the spread of the ratio over draws."""
    rng = np.random.default_rng(1)
    found = [participation_ratio(gram(rng.normal(size=(80, 4)) * [2.0, 1, 1, 1])) for _ in range(200)]
    assert np.mean([p.error for p in found]) == pytest.approx(np.std([p.value for p in found]), rel=0.15)


def test_leaving_one_out_is_done_at_once():
    """Oracle: the ratio of the points without each, worked out anew."""
    x = np.random.default_rng(2).normal(size=(9, 3)) + 3.0
    without = [participation_ratio(gram(np.delete(x, k, 0))).value for k in range(9)]
    want = math.sqrt(8 / 9 * np.square(np.array(without) - np.mean(without)).sum())
    assert participation_ratio(gram(x)).error == pytest.approx(want, rel=1e-9)


@pytest.mark.parametrize(("d", "low", "high"), [(1, 0.95, 1.05), (2, 1.9, 2.1), (5, 4.9, 5.3)])
def test_dimension_of_a_torus(d, low, high):
    """Oracle: the torus's own dimension, in twice as many coordinates."""
    values = [two_nn(gram(torus(1500, d, seed))) for seed in range(3)]
    assert low < np.mean(values) < high


def test_dimension_of_points_on_a_line_by_hand():
    """Oracle: points at 0, 1, 3 have ratios 3, 2 and 3/2: 3 / ln 9; a point twice counts once."""
    x = np.array([[0.0], [1.0], [3.0]])
    assert two_nn(gram(x)) == pytest.approx(3 / math.log(9))
    assert two_nn(gram(np.concatenate([x, x]) + 7.0)) == pytest.approx(3 / math.log(9))


def test_nothing_has_no_dimension():
    """Oracle: 0/0, too few, a hole."""
    assert math.isnan(participation_ratio(np.zeros((8, 8))).value)
    assert math.isnan(participation_ratio(np.eye(4)).value)
    assert math.isnan(participation_ratio(np.full((8, 8), np.nan)).error)
    assert math.isnan(two_nn(np.ones((5, 5))))
    assert math.isnan(two_nn(np.full((5, 5), np.nan)))
    assert math.isnan(two_nn(gram(np.array([[0.0], [1.0]]))))


def test_scikit_dimension_agrees():
    """Oracle: the package of Bac et al., which fits a line to all but the widest tenth of the ratios."""
    package = pytest.importorskip("skdim", reason="scikit-dimension is not installed: extra 'oracle'")
    x = torus(400, 3)
    fitted = package.id.TwoNN(discard_fraction=0.1).fit(x).dimension_
    # the likelihood's error is d/√n; the line's is a little larger, and both see the same points
    assert two_nn(gram(x)) == pytest.approx(fitted, abs=2.0 * fitted / 400**0.5)
