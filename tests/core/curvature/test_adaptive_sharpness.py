"""Adaptive sharpness of losses whose worst point is known."""

import math

import numpy as np
import pytest
import torch
from cases import CASES
from torch import nn

import landscape
from landscape.core.curvature.adaptive_sharpness import adaptive_sharpness, parameter_scales
from landscape.errors import InputError


class Vector(nn.Module):
    """A model that returns its parameters, once per example."""

    def __init__(self, values):
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(values, dtype=torch.float64))

    def forward(self, x):
        return self.theta.expand(len(x), -1)


def problem(values, loss):
    """A problem whose loss is a function of the parameters alone."""
    return landscape.Problem(
        Vector(values), lambda out, _: loss(out), (torch.zeros(3, 1).double(), torch.zeros(3))
    )


def test_a_linear_loss():
    """Oracle: closed form: max of g·ε over ‖ε/θ‖ ≤ ρ is ρ‖θ∘g‖, met by the first order already."""
    g = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    found = adaptive_sharpness(problem([2.0, -1.0, 4.0], lambda t: t @ g), [0.1, 0.7])
    exact = np.array([0.1, 0.7]) * math.sqrt(4 + 4 + 4)
    np.testing.assert_allclose(found.first_order, exact, rtol=1e-12)
    np.testing.assert_allclose(found.ascent, exact, rtol=1e-12)
    assert found.gradients == 11


def test_a_quadratic_bowl_off_its_bottom():
    """Oracle: a fine search of the boundary of the ellipse ‖ε/θ‖ = ρ, where a convex loss has its worst."""
    H = torch.tensor([[3.0, 1.0], [1.0, 8.0]], dtype=torch.float64)

    def loss(t):
        return 0.5 * ((t - torch.tensor([1.0, 0.6])) @ H * (t - torch.tensor([1.0, 0.6]))).sum(-1)

    theta = torch.tensor([1.5, 0.5], dtype=torch.float64)
    angles = torch.linspace(0, 2 * math.pi, 20001, dtype=torch.float64)
    s = torch.stack([angles.cos(), angles.sin()], 1)
    for radius in (0.2, 1.0):
        rises = loss(theta + radius * theta * s) - loss(theta)
        found = adaptive_sharpness(problem([1.5, 0.5], loss), [radius], steps=30)
        assert found.ascent[0] == pytest.approx(float(rises.max()), rel=1e-4)
        assert found.first_order[0] <= found.ascent[0]


def test_rescaling_layers_around_a_relu_changes_nothing():
    """Oracle: theory (Kwon et al. 2021): T⁻¹ε does not change if layers are scaled by c and 1/c."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).double()
    data = (torch.randn(12, 4).double(), torch.arange(12) % 3)
    before = adaptive_sharpness(landscape.Problem(model, "cross_entropy", data), [0.1, 0.5])
    with torch.no_grad():
        model[0].weight *= 10.0
        model[0].bias *= 10.0
        model[2].weight /= 10.0
    after = adaptive_sharpness(landscape.Problem(model, "cross_entropy", data), [0.1, 0.5])
    np.testing.assert_allclose(after.ascent, before.ascent, rtol=1e-9)
    np.testing.assert_allclose(after.first_order, before.first_order, rtol=1e-9)


def test_more_room_and_more_steps_find_no_less():
    """Oracle: the ball of a smaller radius lies within that of a larger one."""
    p = CASES["conv_batchnorm"].problem()
    found = adaptive_sharpness(p, [0.1, 0.3, 1.0], steps=8)
    assert (np.diff(found.ascent) > 0).all()
    assert (found.ascent >= found.first_order).all()
    none = adaptive_sharpness(p, [0.3], steps=0)
    assert none.ascent[0] == none.first_order[0] == found.first_order[1]


def test_small_radii_follow_the_gradient():
    """Oracle: calculus: the rise over ρ tends to ‖T∇L‖; eta is added to the scales."""
    p = CASES["mlp"].problem()
    for eta in (0.0, 0.1):
        scale = parameter_scales(p, eta)
        np.testing.assert_allclose(scale, p.theta.abs() + eta)
        found = adaptive_sharpness(p, [1e-6], eta=eta)
        assert found.ascent[0] / 1e-6 == pytest.approx(float((scale * p.gradient()).norm()), rel=1e-4)


def test_a_point_without_gradient_does_not_move():
    """Oracle: by inspection: a constant loss."""
    found = adaptive_sharpness(problem([1.0, 2.0], lambda t: (0.0 * t).sum(-1)), [0.5])
    assert found.ascent[0] == found.first_order[0] == 0.0


def test_a_loss_that_overflows_is_infinite():
    """Oracle: by inspection: exp(800) is infinite."""
    found = adaptive_sharpness(problem([700.0], lambda t: t.exp().sum(-1)), [0.5])
    assert found.ascent[0] == math.inf


@pytest.mark.parametrize("options", [{"radii": [0.0]}, {"steps": -1}, {"eta": -0.1}])
def test_unusable_arguments_are_named(options):
    """Oracle: the words of the sentence."""
    with pytest.raises(InputError, match="sharpness needs"):
        adaptive_sharpness(CASES["mlp"].problem(), **{"radii": [0.1], **options})
