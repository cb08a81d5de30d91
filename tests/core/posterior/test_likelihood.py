"""Likelihoods against densities of torch.distributions and Hessians by autograd."""

import numpy as np
import pytest
import torch
from posterior_cases import classifier, data, heteroscedastic, mlp, regression

from landscape.core.posterior.likelihood import likelihood_of
from landscape.core.problem.problem import Problem
from landscape.errors import InputError


def test_cross_entropy_is_the_likelihood_of_classes():
    """Oracle: log probabilities of torch.distributions.Categorical."""
    problem = classifier()
    x, y = data()
    exact = torch.distributions.Categorical(logits=mlp()(x).detach()).log_prob(y).sum()
    found = likelihood_of(problem).log_likelihood(problem.measure().data_loss)
    assert found == pytest.approx(float(exact), rel=1e-12)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("loss", ["mse", "half_squared_error"])
@pytest.mark.parametrize("noise", [0.3, "ml"])
def test_squared_errors_are_the_likelihood_of_gaussian_noise(loss, outputs, noise):
    """Oracle: log probabilities of torch.distributions.Normal, whatever factor the loss has."""
    problem = regression(loss, outputs)
    batch = problem.first
    residual = (problem.output(batch)[0] - batch.target).detach()
    variance = float(residual.square().mean()) if noise == "ml" else noise
    exact = torch.distributions.Normal(torch.zeros_like(residual), variance**0.5).log_prob(residual).sum()
    likelihood = likelihood_of(problem, noise)
    assert likelihood.noise == pytest.approx(variance)
    assert likelihood.log_likelihood(problem.measure().data_loss) == pytest.approx(float(exact), rel=1e-12)


def test_roots_are_those_of_the_hessian_in_the_outputs():
    """Oracle: second derivatives of −ln p by autograd."""
    f = torch.randn(3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    R = likelihood_of(classifier()).roots(f[None])[0]
    exact = torch.autograd.functional.hessian(
        lambda z: torch.nn.functional.cross_entropy(z, torch.tensor(1)), f
    )
    torch.testing.assert_close(R @ R.T, exact)
    R = likelihood_of(regression(outputs=3), 0.5).roots(f[None])[0]
    torch.testing.assert_close(R @ R.T, torch.eye(3, dtype=torch.float64) / 0.5)


def test_a_network_that_puts_out_the_noise_is_its_own_likelihood():
    """Oracle: log probabilities of torch.distributions.Normal, with the variance softplus(r) + 1e-6."""
    problem = heteroscedastic()
    output, y = problem.output(problem.first)[0].detach(), problem.first.target
    scale = (torch.nn.functional.softplus(output[:, 1]) + 1e-6).sqrt()
    exact = torch.distributions.Normal(output[:, 0], scale).log_prob(y).sum()
    found = likelihood_of(problem).log_likelihood(problem.measure().data_loss)
    assert found == pytest.approx(float(exact), rel=1e-12)
    assert likelihood_of(problem).precision(0.02) == pytest.approx(40 * 0.02)


def test_roots_of_a_gaussian_head_are_those_of_its_fisher_matrix():
    """Oracle: the Hessian of −ln p by autograd, its mean over targets by Gauss-Hermite quadrature.

    The Hessian is a polynomial of the second degree in the target, which three nodes integrate exactly.
    """
    f = torch.tensor([0.3, -0.7], dtype=torch.float64)
    variance = torch.nn.functional.softplus(f[1]) + 1e-6
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    exact = torch.zeros(2, 2, dtype=torch.float64)
    for node, weight in zip(nodes, weights / weights.sum(), strict=True):
        y = f[0] + variance.sqrt() * node

        def energy(z, y=y):
            scale = (torch.nn.functional.softplus(z[1]) + 1e-6).sqrt()
            return -torch.distributions.Normal(z[0], scale).log_prob(y)

        exact += weight * torch.autograd.functional.hessian(energy, f)
    R = likelihood_of(heteroscedastic()).roots(f[None])[0]
    torch.testing.assert_close(R @ R.T, exact)


def test_weight_decay_is_a_prior():
    """Oracle: −ln p(D, θ) = N (L + (λ/2)‖θ‖²), the objective times N."""
    assert likelihood_of(classifier(0.02)).precision(0.02) == pytest.approx(40 * 0.02)


def test_what_has_no_likelihood_is_refused():
    x, y = data()
    hinge = Problem(mlp(), torch.nn.MultiMarginLoss(), (x, y))
    with pytest.raises(InputError, match="no known likelihood"):
        likelihood_of(hinge)
    dense = Problem(
        torch.nn.Conv1d(1, 3, 1).double(), "cross_entropy", (x[:, None], y[:, None].expand(-1, 5))
    )
    with pytest.raises(InputError, match="outputs \\(examples, outputs\\)"):
        likelihood_of(dense)
    with pytest.raises(InputError, match="noise must be positive"):
        likelihood_of(regression(), 0.0)
