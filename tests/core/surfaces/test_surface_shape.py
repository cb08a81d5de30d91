"""Numbers of a surface against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from landscape.core.surfaces.surface_shape import (
    flatness_radius,
    largest_rise,
    nonconvex_share,
    quadratic_fit,
    roughness,
)

EPS = np.finfo(np.float64).eps
X, Y = np.linspace(-1.0, 2.0, 31), np.linspace(-1.5, 1.0, 26)
GX, GY = np.meshgrid(X, Y)
QUADRATIC = 0.7 + 0.2 * GX - 0.1 * GY + 1.5 * GX**2 + 0.8 * GX * GY + 2.0 * GY**2


def test_sharpness_is_the_worst_rise_in_the_disc():
    """Oracle: a paraboloid rises by r² at distance r; the grid holds the points (±0.5, 0), (0, ±0.5)."""
    z = 3.0 + GX**2 + GY**2
    assert largest_rise(z, X, Y, 3.0, 0.5) == pytest.approx(0.25, rel=1e-12)
    assert largest_rise(z, X, Y, 3.0, 0.5 - 1e-9) < 0.25
    assert math.isnan(largest_rise(z, X + 5, Y, 3.0, 0.5))
    z[np.hypot(GX, GY) < 0.15] = np.nan
    assert largest_rise(z, X, Y, 3.0, 0.5) == math.inf


def test_flatness_is_the_distance_to_the_level_line():
    """Oracle: |2x − 1| type planes, where linear interpolation along edges is exact."""
    z = 1.0 + 2.0 * GX
    assert flatness_radius(z, X, Y, 1.0, 0.5) == pytest.approx(0.25, rel=1e-12)
    z = 1.0 + GX**2 + GY**2
    assert flatness_radius(z, X, Y, 1.0, 0.09) == pytest.approx(0.3, abs=0.01)
    assert math.isnan(flatness_radius(z, X, Y, 1.0, 100.0))
    z = np.ones_like(GX)
    z[(np.abs(GX - 0.3) < 1e-9) & (np.abs(GY) < 1e-9)] = np.inf
    assert flatness_radius(z, X, Y, 1.0, 0.5) == pytest.approx(0.3, rel=1e-12)


def test_a_quadratic_is_fitted_exactly():
    """Oracle: its coefficients, on a grid that is neither square nor even nor centred."""
    fit = quadratic_fit(QUADRATIC, X, Y, 0.35)
    np.testing.assert_allclose(fit.hessian, [[3.0, 0.8], [0.8, 4.0]], rtol=1e-10)
    np.testing.assert_allclose(fit.gradient, [0.2, -0.1], rtol=1e-10)
    assert fit.r2 == pytest.approx(1.0, abs=1e-12)
    assert fit.points == int((np.hypot(GX, GY) <= 0.35).sum())
    few = quadratic_fit(QUADRATIC, X, Y, 0.05)
    assert np.isnan(few.hessian).all()
    flat = quadratic_fit(np.ones_like(GX), X, Y, 0.35)
    np.testing.assert_allclose(flat.hessian, 0.0, atol=1e-12)
    assert math.isnan(flat.r2)


def test_nonconvexity_counts_points_of_negative_curvature():
    """Oracle: convex, concave, saddle and plane; cos x is concave where |x| < π/2."""
    assert nonconvex_share(QUADRATIC, X, Y, EPS) == 0.0
    assert nonconvex_share(-QUADRATIC, X, Y, EPS) == 1.0
    assert nonconvex_share(GX * GY, X, Y, EPS) == 1.0
    assert nonconvex_share(5.0 + GX + 2 * GY, X, Y, EPS) == 0.0
    x = np.linspace(-3.0, 3.0, 61)
    z = np.cos(x) + x[:7, None] ** 2
    assert nonconvex_share(z, x, x[:7], EPS) == pytest.approx((np.abs(x[1:-1]) < np.pi / 2).mean())
    assert math.isnan(nonconvex_share(z[:2], x, x[:2], EPS))
    z[3] = np.nan
    assert math.isnan(nonconvex_share(z[2:5], x, x[2:5], EPS))


def test_roughness_sees_ripples_and_no_cubic():
    """Oracle: a parabola through five points leaves nothing of a cubic, and 48/35 a of a ripple ±a."""
    cubic = GX**3 - 2 * GX * GY**2 + 4 * GY**3 + QUADRATIC
    assert roughness(cubic) < 1e-13
    ripple = np.where(np.indices((9, 12)).sum(0) % 2, -1.0, 1.0)
    assert roughness(ripple) == pytest.approx(48 / 35 / 2, rel=1e-12)
    stripes = np.where(np.arange(12) % 2, -1.0, 1.0) * np.ones((12, 1))
    assert roughness(stripes) == pytest.approx(48 / 35 / 2 / math.sqrt(2), rel=1e-12)
    assert math.isnan(roughness(ripple[:4, :4]))
    assert roughness(np.ones((6, 6))) == 0.0
    ripple[0, 0] = np.inf
    assert math.isfinite(roughness(ripple))
