"""The probit link against Monte Carlo, moments of targets against quadrature."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from posterior_cases import heteroscedastic, regression
from scipy.integrate import quad
from scipy.stats import norm

from landscape.core.posterior.likelihood import likelihood_of
from landscape.core.posterior.links import probit, target_moments


def test_probit_is_near_the_mean_of_softmax():
    """Oracle: the mean softmax over 200,000 draws; the approximation is good to some hundredths in p."""
    mean = torch.tensor([[1.0, -0.5, 0.3, 2.0]], dtype=torch.float64)
    variance = torch.tensor([[0.5, 1.0, 0.2, 0.8]], dtype=torch.float64)
    noise = torch.randn(200_000, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    exact = (mean + variance.sqrt() * noise).softmax(-1).mean(0)
    assert float((probit(mean, variance).exp()[0] - exact).abs().sum()) / 2 < 0.03


def test_without_variance_it_is_the_softmax_and_with_much_it_knows_nothing():
    mean = torch.tensor([[1.0, -0.5]], dtype=torch.float64)
    torch.testing.assert_close(probit(mean, torch.zeros_like(mean)), mean.log_softmax(-1))
    torch.testing.assert_close(
        probit(mean, torch.full_like(mean, 1e12)).exp(), torch.full_like(mean, 0.5), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize(("raw", "sd"), [(0.5, 0.0), (-3.0, 0.4), (0.5, 1.0), (-1.0, 30.0)])
def test_the_variance_of_targets_is_the_law_of_total_variance(raw: float, sd: float):
    """Oracle: the mean of softplus(r) by adaptive quadrature, and the variance of the mean on top."""
    likelihood = likelihood_of(heteroscedastic())
    mean = torch.tensor([[0.2, raw]], dtype=torch.float64)
    spread = torch.tensor([[0.09, sd**2]], dtype=torch.float64)
    centre, found = target_moments(mean, spread, likelihood)
    noise = np.logaddexp(0, raw)
    if sd:
        places = [raw - 8 * sd, *((0.0,) if abs(raw) < 8 * sd else ()), raw + 8 * sd]
        noise = sum(
            quad(lambda r: np.logaddexp(0, r) * norm.pdf(r, raw, sd), a, b, epsabs=1e-12, limit=200)[0]
            for a, b in pairwise(places)
        )
    assert centre.item() == pytest.approx(0.2)
    # where the spread is wide, softplus has a kink within a step of the grid
    assert found.item() == pytest.approx(0.09 + noise + 1e-6, rel=1e-9 if sd <= 1 else 1e-3)


def test_equal_noise_is_added():
    """Oracle: by hand."""
    mean = torch.zeros(1, 2, dtype=torch.float64)
    _, found = target_moments(mean, mean + 0.5, likelihood_of(regression(outputs=2), 0.25))
    torch.testing.assert_close(found, mean + 0.75)
