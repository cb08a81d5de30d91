"""Paths against closed forms, numpy polynomials and scipy's quadrature."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.interpolate import BPoly

from landscape.core.connectivity.curve import Curve, bent, straight
from landscape.errors import InputError


def points(count, size=7, dtype=torch.float64, seed=0):
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("count", [2, 3, 4, 6])
def test_bezier_points_and_tangents(count):
    """Oracle: scipy's polynomials in the Bernstein basis and their derivatives."""
    p = points(count)
    path = Curve("bezier", p)
    curve = BPoly(p.numpy()[:, None, :], [0.0, 1.0])
    for t in np.linspace(0, 1, 9):
        np.testing.assert_allclose(path.point(float(t)), curve(t), atol=1e-13)
        np.testing.assert_allclose(path.tangent(float(t)), curve(t, nu=1), atol=1e-12)
        np.testing.assert_allclose(path.weights(float(t)) @ p.numpy(), curve(t), atol=1e-13)


def test_a_line_is_a_bezier_of_degree_one():
    """Oracle: (1 − t) a + t b in numpy."""
    a, b = points(2)
    path = straight(a, b)
    for t in (0.0, 0.3, 0.7, 1.0):
        np.testing.assert_allclose(path.point(t), (1 - t) * a.numpy() + t * b.numpy(), atol=1e-15)
    assert path.length == pytest.approx(float((b - a).norm()), rel=1e-14)
    assert path.ratio == pytest.approx(1.0, rel=1e-14)


def test_polychain_points_and_knots():
    """Oracle: numpy's linear interpolation, entry by entry."""
    p = points(4)
    for knots in ((), (0.0, 0.2, 0.9, 1.0)):
        path = Curve("polychain", p, knots)
        at = knots or np.linspace(0, 1, 4)
        for t in np.linspace(0, 1, 23):
            expected = [np.interp(t, at, column) for column in p.numpy().T]
            np.testing.assert_allclose(path.point(float(t)), expected, atol=1e-14)
            np.testing.assert_allclose(path.weights(float(t)) @ p.numpy(), expected, atol=1e-14)
        step = (path.point(0.55) - path.point(0.45)) / 0.1
        np.testing.assert_allclose(path.tangent(0.5), step, atol=1e-12)


@pytest.mark.parametrize("kind", ["bezier", "polychain"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ends_are_the_checkpoints_bit_for_bit(kind, dtype):
    """Oracle: the given vectors themselves; also a path between equal points does not move."""
    p = points(5, dtype=dtype)
    path = Curve(kind, p)
    assert torch.equal(path.point(0.0), p[0])
    assert torch.equal(path.point(1.0), p[-1])
    still = Curve(kind, p[:1].repeat(4, 1))
    assert all(torch.equal(still.point(t), p[0]) for t in (0.0, 0.1, 1 / 3, 0.77, 1.0))
    assert still.length == 0.0
    assert np.isnan(still.ratio)


@pytest.mark.parametrize("count", [3, 5])
def test_arc_length_of_a_bezier(count):
    """Oracle: scipy's adaptive quadrature of the norm of the derivative of scipy's polynomial."""
    p = points(count)
    path, slope = Curve("bezier", p), BPoly(p.numpy()[:, None, :], [0.0, 1.0]).derivative()
    ts = [1.0, 0.25, 0.0, 0.6]
    expected = [quad(lambda t: np.linalg.norm(slope(t)), 0, end, epsabs=1e-13, epsrel=1e-13)[0] for end in ts]
    np.testing.assert_allclose(path.arc(ts), expected, rtol=1e-11)
    assert path.chord == pytest.approx(np.linalg.norm(p[-1] - p[0]), rel=1e-14)
    assert path.ratio == pytest.approx(expected[0] / np.linalg.norm(p[-1] - p[0]), rel=1e-11)


def test_arc_length_of_a_parabola():
    """Oracle: closed form. The points (0,0), (1,2), (2,0) give y = 2x − x²."""
    path = Curve("bezier", torch.tensor([[0.0, 0.0], [1.0, 2.0], [2.0, 0.0]], dtype=torch.float64))
    exact = np.sqrt(5) + np.arcsinh(2) / 2
    assert path.length == pytest.approx(exact, rel=1e-12)


def test_arc_length_of_a_polychain():
    """Oracle: the sum of the lengths of its segments in numpy, exact whatever the knots."""
    p = points(4)
    lengths = np.linalg.norm(np.diff(p.numpy(), axis=0), axis=1)
    for knots in ((), (0.0, 0.15, 0.5, 1.0)):
        path = Curve("polychain", p, knots)
        np.testing.assert_allclose(path.arc(path.knots), [0, *np.cumsum(lengths)], rtol=1e-13)
        middle = (path.knots[1] + path.knots[2]) / 2
        assert path.arc([middle])[0] == pytest.approx(lengths[0] + lengths[1] / 2, rel=1e-13)


@pytest.mark.parametrize("kind", ["bezier", "polychain"])
def test_bends_start_on_the_chord(kind):
    """Oracle: a curve whose points lie evenly on the chord is the straight line at constant speed."""
    a, b = points(2)
    path = bent(a, b, 3, kind)
    assert path.points.shape == (5, 7)
    for t in (0.1, 0.5, 0.83):
        np.testing.assert_allclose(path.point(t), torch.lerp(a, b, t), atol=1e-14)
    assert path.ratio == pytest.approx(1.0, rel=1e-12)


@given(st.floats(0, 1), st.integers(2, 7), st.sampled_from(["bezier", "polychain"]))
def test_weights_are_shares(t, count, kind):
    """Oracle: shares are not negative and sum to 1 at every t."""
    weights = Curve(kind, points(count)).weights(t)
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1.0, abs=1e-12)


def test_unusable_paths_are_refused():
    """Oracle: the sentence names what does not fit."""
    with pytest.raises(InputError, match="two or more points"):
        Curve("bezier", points(1))
    with pytest.raises(InputError, match="knots rising from 0 to 1"):
        Curve("polychain", points(3), (0.0, 0.7, 0.6))
    with pytest.raises(InputError, match="at least one bend"):
        bent(*points(2), 0)


@pytest.mark.parametrize("kind", ["bezier", "polychain"])
def test_the_point_farthest_from_the_chord(kind):
    """Oracle: distances from the chord by NumPy, point by point; a loop has no chord but a first point."""
    points = np.random.default_rng(0).normal(size=(6, 20))
    chord = points[-1] - points[0]
    rest = points - points[0]
    rest = rest - np.outer(rest @ chord / (chord @ chord), chord)
    expected = int(np.linalg.norm(rest, axis=1).argmax())
    assert Curve(kind, torch.from_numpy(points)).farthest == expected
    assert Curve(kind, torch.tensor([[0.0], [1.0], [3.0], [0.0]])).farthest == 2
