"""Worst-case sharpness of losses whose worst point is known."""

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


G3, H3 = (1.0, -2.0, 0.5), ((3.0, 1.0, 0.0), (1.0, 5.0, -1.0), (0.0, -1.0, 2.0))


def bowl(t):
    """A convex quadratic with gradient G3 and Hessian H3 at 0."""
    H, g = (torch.tensor(v, dtype=torch.float64) for v in (H3, G3))
    return 0.5 * (t @ H * t).sum(-1) + t @ g


def test_the_worst_point_of_a_quadratic_in_a_ball():
    """Oracle: the trust region's equation ε = (μ − H)⁻¹ g with ‖ε‖ = ρ, μ > λ_max, by bisection."""
    H, g = np.array(H3), np.array(G3)
    found = adaptive_sharpness(problem([0.0, 0.0, 0.0], bowl), [0.3], steps=60, scale="none")
    low, high = np.linalg.eigvalsh(H)[-1] + 1e-9, 1e3
    for _ in range(200):
        mu = (low + high) / 2
        e = np.linalg.solve(mu * np.eye(3) - H, g)
        low, high = (mu, high) if np.linalg.norm(e) > 0.3 else (low, mu)
    assert found.ascent[0] == pytest.approx(g @ e + 0.5 * e @ H @ e, rel=1e-6)
    assert found.linear[0] == pytest.approx(0.3 * np.linalg.norm(g), rel=1e-12)
    step = 0.3 * g / np.linalg.norm(g)
    assert found.first_order[0] == pytest.approx(g @ step + 0.5 * step @ H @ step, rel=1e-12)


def test_the_worst_vertex_of_a_cube():
    """Oracle: all eight vertices, at one of which a convex loss is largest; to first order ρ‖g‖₁."""
    vertices = 0.5 * torch.cartesian_prod(*[torch.tensor([-1.0, 1.0]).double()] * 3)
    options = {"scale": "none", "ball": "linf"}
    found = adaptive_sharpness(problem([0.0, 0.0, 0.0], bowl), [0.5], restarts=4, steps=8, **options)
    assert found.ascent[0] == pytest.approx(float(bowl(vertices).max()), rel=1e-12)
    assert found.linear[0] == pytest.approx(0.5 * 3.5, rel=1e-12)
    small = adaptive_sharpness(problem([0.0, 0.0, 0.0], bowl), [1e-6], **options)
    assert small.ascent[0] / 1e-6 == pytest.approx(3.5, rel=1e-5)


def test_scales_of_filters():
    """Oracle: norms of the rows of each weight by hand; in no filter, the parameter itself."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 2), nn.Flatten(), nn.Linear(8, 3)).double()
    p = landscape.Problem(model, "cross_entropy", (torch.randn(6, 1, 3, 3).double(), torch.arange(6) % 3))
    want = []
    for w in model.parameters():
        rows = w.flatten(1).norm(dim=1) if w.ndim > 1 else w.abs()
        want.append(rows.repeat_interleave(w[0].numel()) if w.ndim > 1 else rows)
    np.testing.assert_allclose(parameter_scales(p, 0.5, "filter"), torch.cat(want).detach() + 0.5)
    np.testing.assert_allclose(parameter_scales(p, 0.5, "none"), 1.0)


def test_random_starts_find_no_less():
    """Oracle: they come beside the start along the gradient; a seed means the same bits."""
    p = CASES["mlp"].problem()
    alone, more, again = (adaptive_sharpness(p, [0.5], restarts=n, seed=1).ascent[0] for n in (0, 3, 3))
    assert more == again >= alone


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


@pytest.mark.parametrize("options", [{"radii": [0.0]}, {"steps": -1}, {"eta": -0.1}, {"restarts": -1}])
def test_unusable_arguments_are_named(options):
    """Oracle: the words of the sentence."""
    with pytest.raises(InputError, match="sharpness needs"):
        adaptive_sharpness(CASES["mlp"].problem(), **{"radii": [0.1], **options})


@pytest.mark.parametrize("options", [{"ball": "l1"}, {"scale": "layer"}])
def test_unknown_words_are_named(options):
    """Oracle: the words of the sentence."""
    with pytest.raises(InputError, match="sharpness knows no"):
        adaptive_sharpness(CASES["mlp"].problem(), [0.1], **options)
