from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from landscape.base.registry import find
from landscape.core.behaviour.posterior_samples import PosteriorSamples
from landscape.core.problem.problem import Problem
from landscape.errors import InputError
from landscape.reference.models import mlp
from landscape.studies.posterior_spread import posterior_spread

ADDRESS = "landscape.studies.posterior_spread:posterior_spread"
WIDTHS = (5, 3, 4)


def subject(samples=30, dead=True):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = mlp(WIDTHS).double()
        x = torch.rand(12, 5, dtype=torch.float64)
        if dead:
            x[:, 2] = 0.0
        thetas = torch.randn(samples, 34, dtype=torch.float64) * torch.linspace(0.1, 2, 34).double()
    module = PosteriorSamples(model, thetas)
    return Problem(module, "cross_entropy", (x, torch.arange(12) % 4), batch_size=5), module


def dense_ggn(model, x):
    """Σ Jᵀ(diag p − ppᵀ)J / N, from torch's own Jacobians."""
    params = dict(model.named_parameters())
    sizes = [p.numel() for p in params.values()]

    def f(theta, one):
        parts = torch.split(theta, sizes)
        state = {n: t.view(p.shape) for (n, p), t in zip(params.items(), parts, strict=True)}
        return torch.func.functional_call(model, state, (one[None],))[0]

    theta = nn.utils.parameters_to_vector(model.parameters()).detach()
    total = torch.zeros(34, 34, dtype=torch.float64)
    for one in x:
        J = torch.func.jacrev(f)(theta, one)
        p = f(theta, one).softmax(0)
        total += J.T @ (torch.diag(p) - p[:, None] * p) @ J / len(x)
    return total.detach()


def test_variances_along_eigenvectors_and_by_input():
    """Oracle: the dense Gauss-Newton matrix of torch's Jacobians, and numpy's variances of the samples."""
    problem, module = subject()
    ds = posterior_spread(problem, prior_variance=0.5, k=4)
    x = torch.cat([batch.inputs for batch in problem.batches])
    values, vectors = torch.linalg.eigh(dense_ggn(module.model, x))
    values, vectors = values.flip(0)[:4].numpy(), vectors.flip(1)[:, :4].numpy()
    thetas = module.thetas.numpy()
    np.testing.assert_allclose(ds["eigenvalue"], values, rtol=1e-6)
    np.testing.assert_allclose(ds["ratio"], (thetas @ vectors).var(axis=0, ddof=1) / 0.5, rtol=1e-5)
    np.testing.assert_allclose(ds["laplace_ratio"], 1 / (1 + 12 * values * 0.5), rtol=1e-6)
    weights = thetas[:, :15].reshape(30, 3, 5)
    np.testing.assert_allclose(ds["weight_sd"], np.sqrt(weights.var(axis=0, ddof=1).mean(0)))
    assert int(ds["dead_inputs"]) == 1
    assert float(ds["dead_ratio"]) == pytest.approx(weights[:, :, 2].var(axis=0, ddof=1).mean() / 0.5)
    own = module.model.fc1.weight.detach().numpy()
    assert float(ds["dead_weight"]) == pytest.approx(np.abs(own[:, 2]).max())
    np.testing.assert_allclose(ds["checkpoint_weight"], np.sqrt((own**2).mean(0)))
    np.testing.assert_allclose(ds["input_sd"], x.numpy().std(axis=0))
    assert float(ds["r_hat_max"]) == pytest.approx(module.r_hat(x).max())
    figures = find(ADDRESS).figures({"hmc": ds})
    assert [spec.name for spec in figures] == ["directions", "inputs"]


def test_without_dead_inputs_there_is_no_number():
    """Oracle: the mean of nothing."""
    ds = posterior_spread(subject(dead=False)[0], k=2)
    assert int(ds["dead_inputs"]) == 0
    assert np.isnan([float(ds["dead_ratio"]), float(ds["dead_weight"])]).all()


def test_other_models_are_named():
    """Oracle: the sentence the user must see."""
    x = torch.rand(6, 1, 4, 4)
    plain = Problem(nn.Sequential(nn.Flatten(), nn.Linear(16, 3)), "cross_entropy", (x, torch.arange(6) % 3))
    with pytest.raises(InputError, match="samples of a posterior, such as hmc_posterior makes"):
        posterior_spread(plain)
    convolution = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3))
    size = sum(p.numel() for p in convolution.parameters())
    samples = PosteriorSamples(convolution, torch.randn(8, size))
    with pytest.raises(InputError, match=r"a first layer with weights \(units, 16\)"):
        posterior_spread(Problem(samples, "cross_entropy", (x, torch.arange(6) % 3)), k=2)
