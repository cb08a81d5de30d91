"""Simplices against closed forms: regular simplices, Cayley and Menger, quadratic valleys."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from landscape import Problem
from landscape.core.connectivity.simplex import (
    SimplexTraining,
    connecting_point,
    log_volume,
    random_shares,
    volume_gradient,
)
from landscape.errors import InputError


class Point(nn.Module):
    """Its output is its parameter."""

    def __init__(self, size):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(size, dtype=torch.float64))

    def forward(self, x):
        return self.w.expand(len(x), -1)


def valley(curvatures, weight_decay=0.0, examples=16):
    """L(θ) = ½ Σ hᵢ θᵢ²."""
    h = torch.tensor(curvatures, dtype=torch.float64)
    data = torch.zeros(examples, 1, dtype=torch.float64), torch.zeros(examples)
    loss = lambda output, target: 0.5 * (output.square() * h).sum(1)  # noqa: E731 - a formula
    return Problem(Point(len(h)), loss, data, weight_decay=weight_decay)


NONE = torch.zeros(0, 2, dtype=torch.float64)
ENDS = torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
QUICK = SimplexTraining(epochs=100, lr=0.03, batch_size=8, draws=30)  # little noise at the end


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_volume_of_a_regular_simplex(n):
    """Oracle: √(n+1) / (n! 2^(n/2)) aⁿ for the edge a; unit vectors are √2 apart. Moved by 1e6, turned."""
    g = torch.Generator().manual_seed(n)
    turn = torch.linalg.qr(torch.randn(9, 9, generator=g, dtype=torch.float64))[0]
    points = torch.eye(n + 1, 9, dtype=torch.float64) @ turn
    expected = math.sqrt(n + 1) / (math.factorial(n) * 2 ** (n / 2)) * math.sqrt(2) ** n
    assert float(log_volume(points).exp()) == pytest.approx(expected, rel=1e-12)
    assert float(log_volume(points + 1e6).exp()) == pytest.approx(expected, rel=1e-8)
    assert float(log_volume(3 * points)) == pytest.approx(math.log(expected) + n * math.log(3), rel=1e-12)


def test_volume_by_cayley_and_menger():
    """Oracle: the bordered determinant of squared distances, by numpy."""
    points = np.random.default_rng(0).normal(size=(5, 20))
    squares = ((points[:, None] - points[None]) ** 2).sum(-1)
    bordered = np.ones((6, 6)) - np.eye(6)
    bordered[:5, :5] = squares
    expected = math.sqrt(-np.linalg.det(bordered) / (2**4 * math.factorial(4) ** 2))
    assert float(log_volume(torch.tensor(points)).exp()) == pytest.approx(expected, rel=1e-12)


def test_volume_of_flat_simplices_and_of_a_point():
    """Oracle: three points on a line have no area; a point has volume 1 by convention."""
    assert float(log_volume(torch.tensor([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]))) == -math.inf
    assert float(log_volume(torch.ones(1, 7))) == 0.0


@pytest.mark.parametrize(("k", "n"), [(1, 0), (3, 0), (2, 2), (4, 1)])
def test_gradient_of_the_volume(k, n):
    """Oracle: automatic differentiation of the logarithm of the sum of volumes."""
    g = torch.Generator().manual_seed(k + n)
    models, points, theta = (torch.randn(m, 12, generator=g, dtype=torch.float64) for m in (k, n, 1))
    last = theta[0].clone().requires_grad_()
    total = sum(log_volume(torch.cat([model[None], points, last[None]])).exp() for model in models)
    (expected,) = torch.autograd.grad(total.log(), last)
    torch.testing.assert_close(volume_gradient(models, points, theta[0]), expected, rtol=1e-10, atol=1e-12)


def test_no_volume_has_no_gradient():
    """Oracle: a point on its only model spans nothing."""
    one = torch.ones(1, 3)
    assert not volume_gradient(one, one[:0], one[0]).any()


def test_random_points_are_uniform():
    """Oracle: the moments of Dirichlet(1, ..., 1), and with them the mean of a quadratic over a simplex.

    The mean is 1/m and the covariance (I − 11ᵀ/m) / (m(m + 1)), to within 5 standard errors.
    """
    m, count = 4, 40_000
    shares = random_shares(count, m, torch.Generator().manual_seed(0)).numpy()
    np.testing.assert_allclose(shares.sum(1), 1.0, rtol=1e-14)
    assert (shares >= 0).all()
    covariance = (np.eye(m) - 1 / m) / (m * (m + 1))
    np.testing.assert_allclose(shares.mean(0), 1 / m, atol=5 * np.sqrt(covariance[0, 0] / count))
    np.testing.assert_allclose(np.cov(shares.T), covariance, atol=5 * covariance[0, 0] * np.sqrt(2 / count))
    vertices = np.random.default_rng(1).normal(size=(m, 3))
    h = np.array([0.5, 2.0, 7.0])
    losses = 0.5 * ((shares @ vertices) ** 2 * h).sum(1)
    centre = vertices.mean(0)
    expected = 0.5 * (h * (centre**2 + ((vertices - centre) ** 2).sum(0) / (m * (m + 1)))).sum()
    assert losses.mean() == pytest.approx(expected, abs=5 * losses.std() / math.sqrt(count))


@pytest.mark.parametrize("weight_decay", [0.0, 0.5])
def test_a_point_of_a_valley(weight_decay):
    """Oracle: over the segment (w, θ), E[½h φ²] = h(w² + wθ + θ²)/6, so the best θ is −½ times the mean w.

    That holds with weight decay too, which only adds to h; the loss there is that of the formula.
    """
    models = torch.tensor([[2.0, 1.0], [1.0, -3.0]], dtype=torch.float64)
    h = np.array([1.0, 3.0]) + weight_decay
    settings = replace(QUICK, volume=0.0, weight_decay=weight_decay)
    point, losses = connecting_point(valley([1.0, 3.0]), models, NONE, settings)
    best = -models.numpy().mean(0) / 2
    np.testing.assert_allclose(point.numpy(), best, atol=0.05)
    expected = (h * (models.numpy() ** 2 + models.numpy() * best + best**2) / 6).sum(1).mean()
    assert np.mean(losses[-20:]) == pytest.approx(expected, rel=0.05)


def test_volume_pulls_apart():
    """Oracle: where the gradients of loss and volume cancel, 1 + y² = 3λ/h.

    Between (±1, 0), in a valley of curvature h along y, E[L] = h y²/6 and V = 2 √(1 + y²).
    """
    settings = replace(QUICK, volume=1.0)
    point, _ = connecting_point(valley([20.0, 1.0]), ENDS, NONE, settings)
    assert abs(float(point[1])) == pytest.approx(math.sqrt(2), abs=0.05)
    assert float(point[0]) == pytest.approx(0.0, abs=0.05)


def test_further_points_keep_the_former():
    """Oracle: another seed's random numbers for the second point; the first is where it was."""
    problem, settings = valley([1.0, 1.0, 1.0]), replace(QUICK, epochs=5, volume=0.1)
    ends = torch.eye(2, 3, dtype=torch.float64)
    first, _ = connecting_point(problem, ends, ends[:0], settings)
    kept = first.clone()
    second, _ = connecting_point(problem, ends, first[None], settings)
    assert torch.equal(first, kept)
    assert float(log_volume(torch.stack([ends[0], first, second]))) > -math.inf
    again, _ = connecting_point(problem, ends, first[None], settings)
    assert torch.equal(second, again)


def test_equal_models_and_divergence():
    """Oracle: a point between equal models has a volume all the same; a wild rate is named."""
    equal = torch.ones(2, 2, dtype=torch.float64)
    point, _ = connecting_point(valley([1.0, 1.0]), equal, NONE, replace(QUICK, epochs=1))
    assert float((point - 1).norm()) > 0
    with pytest.raises(InputError, match="lower the lr"):
        connecting_point(valley([1.0, 1.0]), ENDS, NONE, replace(QUICK, lr=1e200))
