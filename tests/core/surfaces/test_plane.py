"""Planes: directions of every kind, exact points, angles and projections."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from cases import CASES, generator, mlp, vectors

from landscape import Problem
from landscape.core.problem.states import as_vector, direction_seed
from landscape.core.surfaces.directions import random_direction
from landscape.core.surfaces.plane import (
    Plane,
    eigenvector_plane,
    given_plane,
    model_plane,
    random_plane,
    trajectory_plane,
)
from landscape.errors import InputError


def problem_of(name="mlp", **options):
    return CASES[name].problem(**options)


def state_of(seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return mlp().double().state_dict()


def flat(state):
    return np.concatenate([v.numpy().ravel() for v in state.values()])


def test_points_are_computed_from_the_origin():
    """Oracle: NumPy, at steps whose order would matter if anything were accumulated."""
    problem = problem_of()
    plane = random_plane(problem, seed=4)
    out = torch.empty_like(problem.theta)
    d = plane.directions.numpy()
    for steps in ((0.3, -0.7), (1e6, -1e6), (0.0, 0.0), (0.3, -0.7)):
        expected = problem.theta.numpy() + steps[0] * d[0] + steps[1] * d[1]
        np.testing.assert_allclose(plane.write(steps, out).numpy(), expected, rtol=1e-13, atol=1e-15)
    assert torch.equal(plane.write((0.0, 0.0), out), problem.theta)


def test_random_directions_are_independent_draws_and_not_orthogonalised():
    """Oracle: `random_direction` with the documented seeds; the angle from NumPy."""
    problem = problem_of("conv_batchnorm")
    plane = random_plane(problem, "filter", seed=7)
    a = random_direction(problem, "filter", seed=7)
    b = random_direction(problem, "filter", seed=direction_seed(7, 1))
    assert torch.equal(plane.directions, torch.stack([a, b]))
    cosine = float(a @ b) / float(a.norm() * b.norm())
    assert plane.angle() == pytest.approx(math.degrees(math.acos(cosine)), rel=1e-12)
    np.testing.assert_allclose(plane.norms, [a.norm(), b.norm()], rtol=1e-14)
    seeds = [direction_seed(s, i) for s in range(20) for i in range(20)]
    assert len(set(seeds)) == len(seeds)


def test_hashes_tell_directions_apart():
    """Oracle: equal content, equal hash; one changed bit, another hash."""
    problem = problem_of()
    plane, again = random_plane(problem, seed=1), random_plane(problem, seed=1)
    assert plane.hashes() == again.hashes()
    assert plane.fingerprint() == again.fingerprint()
    other = again.directions.clone()
    other[1, 3] += 1e-15
    changed = Plane(plane.kind, plane.origin, other)
    assert changed.hashes()[0] == plane.hashes()[0]
    assert changed.hashes()[1] != plane.hashes()[1]
    assert changed.fingerprint() != plane.fingerprint()
    assert random_plane(problem, seed=2).hashes() != plane.hashes()


def test_eigenvectors_are_those_of_the_exact_hessian():
    """Oracle: the Hessian differentiated entry by entry, and LAPACK."""
    problem = problem_of(weight_decay=0.1)
    values, vectors_ = np.linalg.eigh(CASES["mlp"].exact_hessian().numpy() + 0.1 * np.eye(problem.size))
    plane = eigenvector_plane(problem, "LA", tol=1e-8)
    np.testing.assert_allclose(plane.eigenvalues, values[:-3:-1], rtol=1e-7)
    for i, d in enumerate(plane.directions.numpy()):
        assert abs(d @ vectors_[:, -1 - i]) == pytest.approx(1.0, abs=1e-7)
        assert d[np.abs(d).argmax()] > 0
    ends = eigenvector_plane(problem, "BE", tol=1e-8)
    np.testing.assert_allclose(np.sort(ends.eigenvalues), values[[0, -1]], rtol=1e-6, atol=1e-9)


def test_a_line_through_two_models_meets_both_exactly():
    """Oracle: the models' own bits at steps 0 and 1; their mean half-way."""
    a, b = state_of(1), state_of(2)
    problem = Problem(mlp(), "cross_entropy", (vectors()[0].float(), vectors()[1]))
    plane = model_plane(problem, [a, b])
    out = torch.empty_like(problem.theta)
    assert torch.equal(plane.write((0.0,), out), as_vector(problem, a))
    assert torch.equal(plane.write((1.0,), out), as_vector(problem, b))
    np.testing.assert_allclose(
        plane.write((0.5,), out).numpy(), (flat(a) + flat(b)) / 2, rtol=1e-5, atol=1e-6
    )
    assert [m.coordinates for m in plane.markers] == [(0.0,), pytest.approx((1.0,))]


def test_a_plane_through_three_models_is_that_of_izmailov():
    """Oracle: Gram and Schmidt in NumPy; the three models lie in the plane at their known places."""
    states = [state_of(s) for s in (1, 2, 3)]
    problem = problem_of()
    plane = model_plane(problem, states)
    w = [flat(s) for s in states]
    u = (w[1] - w[0]) / np.linalg.norm(w[1] - w[0])
    v = (w[2] - w[0]) - u * (u @ (w[2] - w[0]))
    height = np.linalg.norm(v)
    np.testing.assert_allclose(plane.directions.numpy(), [u, v / height], atol=1e-14)
    places = [(0, 0), (np.linalg.norm(w[1] - w[0]), 0), (u @ (w[2] - w[0]), height)]
    np.testing.assert_allclose([m.coordinates for m in plane.markers], places, atol=1e-12)
    assert max(m.distance for m in plane.markers) < 1e-12


def test_models_that_span_no_plane_are_refused():
    """Oracle: degenerate triangles."""
    problem = problem_of()
    a, b = as_vector(problem, state_of(1)), as_vector(problem, state_of(2))
    with pytest.raises(InputError, match="models 1 and 2 are equal"):
        model_plane(problem, [a, a, b])
    with pytest.raises(InputError, match="lie on a line"):
        model_plane(problem, [a, b, 3 * b - 2 * a])
    with pytest.raises(InputError, match="two models are equal"):
        model_plane(problem, [a, a])
    with pytest.raises(InputError, match="a plane three; got 4"):
        model_plane(problem, [a, b, a, b])


@pytest.mark.parametrize("oblique", [False, True])
def test_projections_are_least_squares(oblique):
    """Oracle: NumPy's lstsq, also for directions that are not orthogonal."""
    problem = problem_of()
    d = torch.randn(2, problem.size, generator=generator(3), dtype=torch.float64)
    if oblique:
        d[1] = d[0] + 0.1 * d[1]
    point = problem.theta + torch.randn(problem.size, generator=generator(4), dtype=torch.float64)
    (marker,) = given_plane(problem, list(d)).marked(problem, [point])
    steps, rest, *_ = np.linalg.lstsq(d.numpy().T, (point - problem.theta).numpy())
    np.testing.assert_allclose(marker.coordinates, steps, rtol=1e-9)
    assert marker.distance == pytest.approx(float(np.sqrt(rest[0])), rel=1e-9)


def test_many_points_are_projected_at_once():
    """Oracle: NumPy on whole vectors, along rows of an orthogonal matrix."""
    rng = np.random.default_rng(1)
    rows = np.linalg.qr(rng.normal(size=(30, 2)))[0].T
    points, origin = rng.normal(size=(4, 30)), rng.normal(size=30)
    plane = Plane("given directions", torch.from_numpy(origin), torch.from_numpy(rows))
    steps, outside = plane.projections(torch.from_numpy(points))
    rest = points - origin - (points - origin) @ rows.T @ rows
    np.testing.assert_allclose(steps, (points - origin) @ rows.T, atol=1e-12)
    np.testing.assert_allclose(outside, rest @ rest.T, atol=1e-12)


def test_given_directions_may_be_states_and_are_checked():
    """Oracle: the flat vector of the state; key words of the sentences."""
    problem = problem_of()
    a, b = state_of(1), state_of(2)
    plane = given_plane(problem, [a, as_vector(problem, b)])
    np.testing.assert_array_equal(plane.directions.numpy(), [flat(a), flat(b)])
    with pytest.raises(InputError, match="must hold 2 directions; got 1"):
        given_plane(problem, [a])
    with pytest.raises(InputError, match=r"direction 2 has shape \(3,\)"):
        given_plane(problem, [a, torch.ones(3)])
    with pytest.raises(InputError, match="direction 1 holds NaN"):
        given_plane(problem, [torch.full((problem.size,), math.nan), b])
    with pytest.raises(InputError, match="direction 2 is zero"):
        given_plane(problem, [a, torch.zeros(problem.size)])
    with pytest.raises(InputError, match="lacks parameter"):
        given_plane(problem, [a, {"0.weight": a["0.weight"]}])


def test_a_trajectory_ends_at_the_checkpoint_and_is_projected():
    """Oracle: NumPy's SVD of the centred checkpoints, and Pythagoras for the distances."""
    problem = problem_of()
    g = generator(6)
    walk = torch.randn(7, problem.size, generator=g, dtype=torch.float64).cumsum(0)
    points = [problem.theta + (w - walk[-1]) for w in walk]
    plane = trajectory_plane(problem, points)
    M = torch.stack(points).numpy()
    _, s, vt = np.linalg.svd(M - M.mean(0), full_matrices=False)
    for d, v in zip(plane.directions.numpy(), vt, strict=False):
        assert abs(d @ v) == pytest.approx(1.0, abs=1e-10)
    np.testing.assert_allclose(plane.explained, s[:2] ** 2 / (s**2).sum(), rtol=1e-10)
    rest = M - problem.theta.numpy()
    steps = rest @ plane.directions.numpy().T
    np.testing.assert_allclose([m.coordinates for m in plane.markers], steps, atol=1e-10)
    far = np.sqrt((rest**2).sum(1) - (steps**2).sum(1).clip(0))
    np.testing.assert_allclose([m.distance for m in plane.markers], far, atol=1e-6)
    assert plane.markers[-1].distance == pytest.approx(0.0, abs=1e-10)
    with pytest.raises(InputError, match="need 3 checkpoints; got 2"):
        trajectory_plane(problem, points[:2])
    with pytest.raises(InputError, match="do not span 2 directions"):
        trajectory_plane(problem, [problem.theta, problem.theta + 1, problem.theta + 2])
