"""Adaptive refinement: the accuracy promised, the same choice each time, and gaps that stay gaps."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import RBFInterpolator, RectBivariateSpline, RegularGridInterpolator

from landscape.core.surfaces import adaptive_grid
from landscape.core.surfaces.adaptive_grid import fill, refine
from landscape.errors import InputError

N = 101
T = np.linspace(-1.0, 1.0, N)
X, Y = np.meshgrid(T, T)

RIDGES = {
    "diagonal": lambda x, y: np.exp(-(((x - y) / 0.12) ** 2)) + 0.3 * (x**2 + y**2),
    "oblique": lambda x, y: np.exp(-(((x - 0.7 * y - 0.1) / 0.08) ** 2)) + 0.3 * (x**2 + y**2),
    "crease": lambda x, y: np.abs(x + 0.3 * y - 0.2) + 0.2 * x**2,
    "banana": lambda x, y: np.log1p(100 * (y + 0.5 - 1.5 * x**2) ** 2 + (1 - x) ** 2),
}


def evaluated(z):
    return lambda chosen: z.ravel()[chosen]


@pytest.mark.parametrize("name", RIDGES)
def test_three_times_as_exact_as_an_even_grid_of_as_many_points(name):
    """Oracle: 21 × 21 even points with bilinear interpolation, on ridged surfaces."""
    f = RIDGES[name]
    z = f(X, Y)
    t = np.linspace(-1.0, 1.0, 21)
    even = RegularGridInterpolator((t, t), f(*np.meshgrid(t, t)))((Y, X))
    values, known = refine(z.shape, 441, evaluated(z))
    assert int(known.sum()) == 441
    assert np.abs(fill(values, known) - z).max() <= np.abs(even - z).max() / 3


@pytest.mark.parametrize("name", RIDGES)
def test_nearer_than_a_cubic_spline_through_an_even_grid_of_as_many_points(name):
    """Oracle: 21 × 21 even points with a bicubic spline of SciPy's."""
    f = RIDGES[name]
    z, t = f(X, Y), np.linspace(-1.0, 1.0, 21)
    even = RectBivariateSpline(t, t, f(*np.meshgrid(t, t)))(T, T)
    filled = fill(*refine(z.shape, 441, evaluated(z)))
    assert np.abs(filled - z).max() < np.abs(even - z).max()
    assert np.square(filled - z).mean() < np.square(even - z).mean()


def test_a_surface_without_ridges():
    """Oracle: the formula. No place needs more points than another, and looking for one costs little."""
    z = np.log1p(4 * X**2 + Y**2 + np.sin(3 * X * Y))
    filled = fill(*refine(z.shape, 441, evaluated(z)))
    assert np.abs(filled - z).max() < 1e-3 * np.ptp(z)


@pytest.mark.parametrize("most", [1_000, 20], ids=["of all", "of its neighbours"])
def test_a_node_left_out(most, monkeypatch):
    """Oracle: SciPy's spline, fitted anew without the node, to all others or to its nearest ones."""
    nodes = np.random.default_rng(0).random((30, 2))
    values = np.sin(5 * nodes[:, 0]) * nodes[:, 1]
    monkeypatch.setattr(adaptive_grid, "MOST_GLOBAL", most)
    monkeypatch.setattr(adaptive_grid, "NEIGHBORS", 20)
    missed = adaptive_grid._left_out(nodes, values)
    for k, node in enumerate(nodes):
        order = np.argsort(np.linalg.norm(nodes - node, axis=1))
        others = order[1 : 30 if most > 30 else 20]
        refitted = RBFInterpolator(nodes[others], values[others], kernel="cubic")(node[None])[0]
        assert missed[k] == pytest.approx(values[k] - refitted, abs=1e-9)


def test_many_points_are_interpolated_from_their_neighbours(monkeypatch):
    """Oracle: the spline through all points, which the local one must come near."""
    z = RIDGES["banana"](X, Y)
    values, known = refine(z.shape, 441, evaluated(z))
    whole = np.abs(fill(values, known) - z).max()
    monkeypatch.setattr("landscape.core.surfaces.adaptive_grid.MOST_GLOBAL", 50)
    assert np.abs(fill(values, known) - z).max() == pytest.approx(whole, rel=0.1)
    values, known = refine((31, 31), 60, evaluated(z[:31, :31]))
    assert int(known.sum()) == 60


def test_known_values_stay_and_the_others_are_marked():
    """Oracle: the values handed over."""
    z = RIDGES["banana"](X, Y)[:31, ::2]
    values, known = refine(z.shape, 120, evaluated(z))
    np.testing.assert_array_equal(values[known], z[known])
    assert np.isnan(values[~known]).all()
    np.testing.assert_array_equal(fill(values, known)[known], z[known])
    assert known[[0, 0, -1, -1], [0, -1, 0, -1]].all()


def test_a_repeated_run_makes_the_same_choice():
    """Oracle: the first run."""
    z = RIDGES["oblique"](X, Y)
    first = refine(z.shape, 150, evaluated(z))[1]
    np.testing.assert_array_equal(refine(z.shape, 150, evaluated(z))[1], first)


def test_others_may_settle_the_choice():
    """Oracle: a worker that follows the recorded choices of another evaluates the same points."""
    z = RIDGES["oblique"](X, Y)
    made = []
    known = refine(z.shape, 100, evaluated(z), lambda c: made.append(c) or c)[1]
    follower = iter(made)
    again = refine(z.shape, 100, evaluated(z + 1e-9 * X), lambda _: next(follower))[1]
    np.testing.assert_array_equal(again, known)


def test_values_that_are_not_finite_are_neither_hidden_nor_spread():
    """Oracle: a half plane of NaN beside a paraboloid, within what 200 even points would err, h²/2."""
    z = np.where(X > 0.35, np.nan, X**2 + Y**2)
    values, known = refine(z.shape, 200, evaluated(z))
    assert int(known.sum()) == 200
    filled = fill(values, known)
    assert np.isnan(filled[X > 0.5]).all()
    inside = X < 0.2
    np.testing.assert_allclose(filled[inside], z[inside], rtol=0, atol=(2 / 13) ** 2 / 2)


def test_no_finite_value_at_all():
    """Oracle: all NaN in, all NaN out, and the budget is spent evenly rather than in an endless loop."""
    values, known = refine((20, 20), 60, lambda chosen: np.full(len(chosen), np.nan))
    assert int(known.sum()) == 60
    assert np.isnan(fill(values, known)).all()


def test_budgets():
    """Oracle: the whole grid where the budget covers it; a sentence where it says nothing."""
    z = RIDGES["diagonal"](X, Y)[:6, :7]
    values, known = refine(z.shape, 42, evaluated(z))
    assert known.all()
    np.testing.assert_array_equal(values, z)
    with pytest.raises(InputError, match="at least 25 evaluations; got 24"):
        refine((9, 9), 24, evaluated(z))


@pytest.mark.parametrize("places", [[(0, 0), (4, 4), (8, 8)], [(0, 0), (0, 4), (0, 8), (0, 6)]])
def test_nodes_on_a_line_leave_the_rest_blank(places):
    """Oracle: three values on one line say nothing of what lies beside it."""
    values, known = np.full((9, 9), np.nan), np.zeros((9, 9), bool)
    for row, column in places:
        values[row, column], known[row, column] = 1.0 + row, True
    filled = fill(values, known)
    np.testing.assert_array_equal(filled[known], values[known])
    assert np.isnan(filled[~known]).all()
