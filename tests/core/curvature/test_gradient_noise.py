"""Noise scale and signal-to-noise ratio of least squares, whose gradients are known in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

import landscape
from landscape.core.curvature.example_gradients import ExampleGradients
from landscape.core.curvature.gradient_noise import gradient_moments, noise_scale
from landscape.core.stats.intervals import reach


def least_squares(count=40, decay=0.0, seed=0):
    """A problem, and the gradients x (xᵀθ − y) of its examples, from the formula."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 5, generator=g, dtype=torch.float64)
    y = torch.randn(count, 1, generator=g, dtype=torch.float64)
    model = nn.Linear(5, 1, bias=False).double()
    model.weight.data = torch.linspace(-1, 1, 5).double()[None]
    problem = landscape.Problem(model, "half_squared_error", (x, y), weight_decay=decay, batch_size=16)
    return problem, (x * (x @ model.weight.data.T - y)).numpy()


def statistics(rows, shift):
    """Trace of Σ, debiased ‖G‖² and mean ratio r of gradients (n, P), written out."""
    n = len(rows)
    mean = rows.mean(0) + shift
    trace = rows.var(0, ddof=1).sum()
    ratio = mean**2 / rows.var(0, ddof=1)
    return trace, (mean**2).sum() - trace / n, ratio.mean() - 1 / n


@pytest.mark.parametrize("decay", [0.0, 0.5])
@pytest.mark.parametrize("keep", [0, 2**28])
def test_moments_of_least_squares(decay, keep):
    """Independent: the formula of the gradients, and numpy's variance."""
    problem, rows = least_squares(decay=decay)
    moments, ratios = gradient_moments(ExampleGradients(problem, keep=keep), [2, 3])
    shift = decay * problem.theta.numpy()
    trace, square, ratio = statistics(rows, shift)
    found = noise_scale(moments)
    assert (found.trace, found.square) == pytest.approx((trace, square), rel=1e-10)
    assert found.value == pytest.approx(trace / square, rel=1e-10)
    assert ratios.mean == pytest.approx(ratio, rel=1e-10)
    np.testing.assert_allclose(moments.norms, np.linalg.norm(rows, axis=1))
    variance = rows.var(0, ddof=1)
    np.testing.assert_allclose(moments.variance, variance)
    by_layer = moments.layer_deviations.sum(0) / 39
    np.testing.assert_allclose(by_layer, [variance[:2].sum(), variance[2:].sum()])
    each = (rows.mean(0) + shift) ** 2 / variance - 1 / 40
    np.testing.assert_allclose(ratios.layers, [each[:2].mean(), each[2:].mean()])


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_errors_are_those_of_leaving_examples_out(decay):
    """Independent: every statistic computed anew without each example in turn."""
    problem, rows = least_squares(decay=decay)
    moments, ratios = gradient_moments(ExampleGradients(problem), [5])
    shift, n = decay * problem.theta.numpy(), len(rows)
    left = np.array([statistics(np.delete(rows, i, 0), shift) for i in range(n)])
    spread = np.sqrt((n - 1) * left.var(0))
    found = noise_scale(moments)
    assert (found.trace_se, found.square_se) == pytest.approx(tuple(spread[:2]), rel=1e-9)
    inverse = left[:, 1] / left[:, 0]
    half = reach(n) * np.sqrt((n - 1) * inverse.var())
    middle = found.square / found.trace
    assert 1 / found.low == pytest.approx(middle + half, rel=1e-9)
    assert math.isinf(found.high) == (middle - half <= 0)
    # to first order alone: the jackknife itself differs by the order of 1/n
    assert ratios.mean_se == pytest.approx(spread[2], rel=0.2)


def test_a_gradient_that_is_noise_has_no_noise_scale():
    """Independent: gradients ±1 in turn, whose mean is 0: the debiased square is −σ²/N."""
    x, y = torch.ones(10, 1).double(), torch.tensor([[1.0], [-1.0]] * 5).double()
    model = nn.Linear(1, 1, bias=False).double()
    model.weight.data.zero_()
    problem = landscape.Problem(model, "half_squared_error", (x, y))
    found = noise_scale(gradient_moments(ExampleGradients(problem), [1])[0])
    assert found.square == pytest.approx(-1 / 9)
    assert math.isnan(found.value) and math.isinf(found.high) and found.low > 0


def test_gradients_that_do_not_vary():
    """Independent: by hand. Equal examples have no noise; a parameter that is not used has no ratio."""
    x, y = torch.ones(6, 2).double(), torch.ones(6, 1).double()
    x[:, 1] = 0.0
    model = nn.Linear(2, 1, bias=False).double()
    model.weight.data.zero_()
    problem = landscape.Problem(model, "half_squared_error", (x, y))
    moments, ratios = gradient_moments(ExampleGradients(problem), [1, 1])
    found = noise_scale(moments)
    assert (found.trace, found.value, found.low, found.high) == (0.0, 0.0, 0.0, 0.0)
    assert ratios.still.tolist() == [1, 1]
    assert np.isnan(ratios.layers).all() and math.isnan(ratios.mean)
