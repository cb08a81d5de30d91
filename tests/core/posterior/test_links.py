"""The probit link against Monte Carlo."""

import torch

from landscape.core.posterior.links import probit


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
