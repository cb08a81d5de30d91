"""Smoothing, counting and distances of weighted points."""

import numpy as np
import pytest
from scipy import stats

from landscape.core.stats.density import gaussian_density, node_spacing, resolving_grid
from landscape.errors import InputError

RNG = np.random.default_rng(0)
POINTS, WEIGHTS = RNG.normal(size=30), RNG.random(30)


def test_a_density_is_the_mixture_of_normals():
    """Independent: scipy's normal density; two widths in one call."""
    grid = np.linspace(-4, 4, 50)
    widths = np.where(POINTS > 0, 0.1, 0.4)
    mixture = sum(w * stats.norm.pdf(grid, x, s) for x, w, s in zip(POINTS, WEIGHTS, widths, strict=True))
    np.testing.assert_allclose(gaussian_density(POINTS, WEIGHTS, grid, widths), mixture, rtol=1e-12)


def test_the_grid_integrates_a_smoothed_density_to_its_weight():
    """Independent: each kernel integrates to 1; a far point must not cost a fine grid between."""
    points, weights = np.append(POINTS, 1000.0), np.append(WEIGHTS, 2.0)
    grid = resolving_grid(points, 0.01)
    density = gaussian_density(points, weights, grid, 0.01)
    assert np.trapezoid(density, grid) == pytest.approx(weights.sum(), rel=1e-7)
    assert (np.diff(grid) > 0).all()
    assert len(grid) < 5000


def test_a_single_point_gets_a_grid():
    """Independent: closed form of the normal density at its peak."""
    grid = resolving_grid([2.0], 0.5)
    assert gaussian_density([2.0], [1.0], grid, 0.5).max() == pytest.approx(1 / (0.5 * np.sqrt(2 * np.pi)))


@pytest.mark.parametrize("width", [0.0, -1.0, float("nan")])
def test_a_kernel_without_width_is_refused(width):
    """Independent: by inspection."""
    with pytest.raises(InputError, match="width must be positive"):
        gaussian_density([0.0], [1.0], [0.0], width)
    with pytest.raises(InputError, match="width must be positive"):
        resolving_grid([0.0], width)


def test_nodes_of_a_chebyshev_polynomial_are_so_far_apart_in_the_middle():
    """Oracle: the extremes cos(πk/n) themselves; nodes without weight do not count."""
    nodes = np.cos(np.pi * np.arange(41) / 40)[None]
    weights = np.full(nodes.shape, 1 / 41)
    assert node_spacing(nodes, weights, 40) == pytest.approx(abs(np.diff(nodes[0])[20]), rel=0.01)
    assert node_spacing(np.append(nodes, [[9.0]], 1), np.append(weights, [[0.0]], 1), 40) == node_spacing(
        nodes, weights, 40
    )
    assert node_spacing(nodes, 0.0 * weights, 40) == 0.0
