"""Classical scaling against points with known distances."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from landscape.core.stats.classical_scaling import classical_scaling


def test_points_of_a_plane_come_back():
    """Oracle: distances of the map, by SciPy, are those of the points; all variance lies in two axes."""
    points = np.random.default_rng(0).normal(size=(12, 2)) * (3.0, 1.0)
    found = classical_scaling(cdist(points, points))
    np.testing.assert_allclose(cdist(found.places, found.places), cdist(points, points), atol=1e-12)
    assert found.shares.sum() == pytest.approx(1.0)
    # axes of the map are the principal axes: their shares are those of the variance
    values = np.linalg.eigvalsh(np.cov(points.T))[::-1]
    np.testing.assert_allclose(found.shares, values / values.sum())


def test_corners_of_a_simplex_share_their_variance_evenly():
    """Oracle: n points at distance 1 of each other need n − 1 equal axes: 2/(n − 1) in two."""
    found = classical_scaling(1.0 - np.eye(5))
    np.testing.assert_allclose(found.shares, 0.25)
    assert np.square(found.places).sum() == pytest.approx(2 * 0.5)


def test_distances_that_no_space_holds_are_not_shown_whole():
    """Oracle: 1 + 1 < 3, by NumPy on −½ J D² J: a negative eigenvalue, so that shares are below 1."""
    distances = np.array([[0.0, 1.0, 3.0], [1.0, 0.0, 1.0], [3.0, 1.0, 0.0]])
    squares = distances**2
    j = np.eye(3) - 1 / 3
    values = np.sort(np.linalg.eigvalsh(-0.5 * j @ squares @ j))
    assert values[0] < 0
    found = classical_scaling(distances)
    np.testing.assert_allclose(found.shares[0], values[-1] / np.abs(values).sum())
    assert found.shares.sum() < 1.0
    assert found.places[0, 0] * found.places[2, 0] < 0


def test_holes_and_equal_things():
    """Oracle: by inspection: NaN stays NaN; equal things lie on one place; one and none have a map too."""
    assert np.isnan(classical_scaling(np.array([[0.0, np.nan], [np.nan, 0.0]])).places).all()
    for n in (0, 1, 3):
        found = classical_scaling(np.zeros((n, n)))
        assert found.places.shape == (n, 2)
        assert not found.places.any()
        assert not found.shares.any()
