"""Means and variances of draws, as they are read off models and predictives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from landscape.core.behaviour.deep_ensemble import DeepEnsemble
from landscape.core.behaviour.gaussian import predict_gaussian
from landscape.core.problem.problem import Problem
from landscape.errors import InputError

X = torch.randn(11, 3, generator=torch.Generator().manual_seed(0))
Y = torch.randn(11, 2, generator=torch.Generator().manual_seed(1))


def nets(count, outputs=4):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return [nn.Linear(3, outputs) for _ in range(count)]


def test_draws_are_those_of_the_networks():
    """Oracle: softplus in plain torch on each network; cuts into batches change nothing."""
    members = nets(3)
    ensemble = DeepEnsemble(members, "regression")
    found = predict_gaussian(Problem(ensemble, "gaussian_nll", (X, Y), batch_size=4))
    outputs = torch.stack([m(X) for m in members]).detach()
    np.testing.assert_allclose(found.means, outputs[..., :2], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.variances, outputs[..., 2:].exp().log1p() + 1e-6, rtol=1e-5)
    np.testing.assert_array_equal(found.targets, Y.double())
    plain = predict_gaussian(Problem(members[0], "gaussian_nll", (X, Y)))
    np.testing.assert_allclose(plain.means, found.means[:1], rtol=1e-5, atol=1e-6)
    assert (plain.draws, found.draws) == (1, 3)
    assert (plain.epistemic == 0).all()


def test_variance_is_aleatoric_and_epistemic():
    """Oracle: the law of total variance as second moment less squared mean, in float64; units scale it."""
    found = predict_gaussian(Problem(DeepEnsemble(nets(4), "regression"), "gaussian_nll", (X, Y)))
    total = (found.variances + found.means**2).mean(0) - found.means.mean(0) ** 2
    np.testing.assert_allclose(found.variance, total, rtol=1e-10)
    scaled = found.scaled(3.0)
    np.testing.assert_allclose(scaled.error, 3 * found.error)
    np.testing.assert_allclose(scaled.variance, 9 * found.variance)


def test_what_is_no_regression_is_named():
    """Oracle: the sentences the user must see."""
    labels = torch.arange(11) % 4
    cases = {
        "this model has the loss cross_entropy": Problem(nets(1)[0], "cross_entropy", (X, labels)),
        "say kind = 'regression' to its builder": Problem(
            DeepEnsemble(nets(2)), "cross_entropy", (X, labels)
        ),
        "this model has the loss mse": Problem(nets(1)[0], "mse", (X, torch.zeros(11, 4))),
    }
    for sentence, problem in cases.items():
        with pytest.raises(InputError, match=sentence):
            predict_gaussian(problem)
