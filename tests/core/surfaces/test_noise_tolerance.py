"""Noise that a classifier bears, against the closed form of linear ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import nn

from landscape import Problem
from landscape.core.surfaces.noise_tolerance import noise_tolerance
from landscape.errors import InputError


def linear(margin=1.0, n=400, d=12):
    """Two classes at (w₁ − w₀)·x = ±m‖x‖ of every example, which are many directions about one axis."""
    rng = torch.Generator().manual_seed(0)
    side = torch.where(torch.arange(n) % 2 == 0, 1.0, -1.0).double()
    rest = torch.randn(n, d - 1, generator=rng, dtype=torch.float64)
    rest = rest / rest.norm(dim=1, keepdim=True)
    across = 0.6
    x = torch.cat([across * side[:, None], math.sqrt(1 - across**2) * rest], 1) * (
        1 + torch.rand(n, 1, generator=rng)
    )
    model = nn.Linear(d, 2, bias=False).double()
    model.weight.data.zero_()
    model.weight.data[1, 0] = margin / across
    return Problem(model, "cross_entropy", (x, (side > 0).long()))


def test_a_linear_classifier_has_its_closed_form():
    """Oracle: P(error) = Φ(−m/(√2σ)) for equal margins m = (w₁ − w₀)·x/‖x‖: σ = m/(√2 · 1.2816) at .1."""
    found = [noise_tolerance(linear(), draws=16, seed=s) for s in range(6)]
    want = 1.0 / (math.sqrt(2) * norm.isf(0.1))
    values = np.array([f.sigma for f in found])
    errors = np.array([f.error for f in found])
    assert np.abs((values - want) / errors).max() < 4.0
    assert values.mean() == pytest.approx(want, rel=0.15)
    assert errors.mean() == pytest.approx(values.std(ddof=1), rel=0.8)


def test_scaled_weights_bear_scaled_noise():
    """Oracle: the error depends on noise over weights alone: σ doubles with them, relative noise stays."""
    one, two = linear(1.0), linear(2.0)
    assert noise_tolerance(two).sigma == pytest.approx(2 * noise_tolerance(one).sigma)
    relative = [noise_tolerance(p, "relative").sigma for p in (one, two)]
    assert relative[0] == pytest.approx(relative[1])
    # one entry alone is not zero: noise z on it flips all answers where 1 + σz < 0, with probability .1
    many = noise_tolerance(one, "relative", draws=400)
    assert many.sigma == pytest.approx(1 / norm.isf(0.1), rel=0.25)


def test_what_never_errs_and_what_has_no_accuracy():
    """Oracle: outputs on inputs of zero move with no weight; a regression has no error to count."""
    x = torch.zeros(10, 3, dtype=torch.float64)
    still = nn.Linear(3, 2, bias=False).double()
    subject = Problem(still, "cross_entropy", (x, torch.zeros(10, dtype=torch.long)))
    assert noise_tolerance(subject, draws=2).sigma == math.inf
    line = Problem(nn.Linear(3, 1).double(), "mse", (x, torch.randn(10, 1, dtype=torch.float64)))
    with pytest.raises(InputError, match="classif"):
        noise_tolerance(line)
