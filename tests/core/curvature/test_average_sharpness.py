"""Average-case sharpness of quadratic losses, whose mean rise is known."""

import numpy as np
import pytest
import torch
from torch import nn

import landscape
from landscape.core.curvature.average_sharpness import average_sharpness, least_error
from landscape.errors import InputError

H = torch.tensor([[3.0, 1.0, 0.0], [1.0, 8.0, 0.5], [0.0, 0.5, 2.0]], dtype=torch.float64)


class Vector(nn.Module):
    """A model that returns its parameters, once per example."""

    def __init__(self, values):
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(values, dtype=torch.float64))

    def forward(self, x):
        return self.theta.expand(len(x), -1)


def problem(values, loss):
    """A problem whose loss is a function of the parameters alone."""
    data = (torch.zeros(1, 1).double(), torch.zeros(1))
    return landscape.Problem(Vector(values), lambda out, _: loss(out), data)


def bowl(t):
    """A quadratic away from its bottom, so that its gradient is large."""
    return 0.5 * (t @ H * t).sum(-1) + t @ torch.tensor([5.0, -9.0, 4.0], dtype=torch.float64)


def test_a_quadratic_rises_by_half_its_scaled_trace():
    """Oracle: closed form: ½σ² tr(THT), within its error; and σ² times one number, whatever the draws."""
    scale = torch.tensor([1.0, 0.3, 2.0], dtype=torch.float64)
    found = average_sharpness(problem([1.0, -0.5, 0.7], bowl), scale, [0.1, 0.5], samples=200)
    exact = 0.5 * np.square([0.1, 0.5]) * float((scale**2 * H.diagonal()).sum())
    assert (abs(found.rise - exact) < 4 * found.rise_se).all()
    assert found.rise[1] / found.rise[0] == pytest.approx(25.0, rel=1e-9)
    assert (found.rise_se < 0.2 * exact).all(), "the gradient is no part of the noise"


def test_one_pair_has_no_error():
    """Oracle: by inspection."""
    found = average_sharpness(problem([1.0, 2.0, 3.0], bowl), torch.ones(3), [0.1], samples=1)
    assert np.isnan(found.rise_se).all()


@pytest.mark.parametrize("options", [{"sigmas": [0.0]}, {"samples": 0}])
def test_unusable_arguments_are_named(options):
    """Oracle: the words of the sentence."""
    with pytest.raises(InputError, match="average sharpness needs"):
        average_sharpness(problem([1.0, 2.0, 3.0], bowl), torch.ones(3), **{"sigmas": [0.1], **options})


def test_the_least_error_is_that_of_a_quadratic_form():
    """Oracle: the variance of ½σ² εᵀTHTε by many draws with NumPy; in proportion where it is no quadratic."""
    scale = np.array([1.0, 0.3, 2.0])
    scaled = scale[:, None] * H.numpy() * scale
    draws = np.random.default_rng(0).normal(size=(200_000, 3))
    rises = 0.5 * 0.3**2 * np.einsum("ri,ij,rj->r", draws, scaled, draws)
    trace, norm = float(np.trace(scaled)), float(np.linalg.norm(scaled))
    found = least_error(np.array([0.3]), np.array([rises.mean()]), 16, trace, norm)
    assert float(found[0]) == pytest.approx(rises.std() / 4, rel=0.02)
    bounded = least_error(np.array([0.3]), np.array([rises.mean() / 20]), 16, trace, norm)
    assert float(bounded[0]) == pytest.approx(float(found[0]) / 10, rel=0.02)
