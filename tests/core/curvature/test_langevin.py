"""Langevin chains on losses whose local learning coefficient is known."""

import numpy as np
import pytest
import torch
from cases import CASES
from torch import nn

import landscape
from landscape.core.curvature.langevin import (
    Langevin,
    inverse_temperature,
    langevin_chain,
    local_llc,
    quadratic_llc,
)
from landscape.errors import InputError


class Vector(nn.Module):
    """A model that returns its parameters, once per example."""

    def __init__(self, size):
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(size, dtype=torch.float64))

    def forward(self, x):
        return self.theta.expand(len(x), -1)


def problem(size, loss, **options):
    """A problem whose loss is a function of the parameters alone, at their zero."""
    data = (torch.zeros(1, 1).double(), torch.zeros(1))
    return landscape.Problem(Vector(size), lambda out, _: loss(out), data, check_derivatives=False, **options)


def estimate(subject, settings, chains=4):
    """λ̂ and its error over chains."""
    rises = np.stack([langevin_chain(subject, settings, chain=c) for c in range(chains)])
    each = local_llc(rises[:, settings.burn_in :], settings)
    return each.mean(), each.std(ddof=1) / chains**0.5


def test_a_quadratic():
    """Oracle: closed form with the steps' own bias (2.435 where steps of length 0 would give 2.32)."""
    h = torch.tensor([8.0, 3.0, 1.0, 0.5, 0.1, 0.0] + 4 * [4.0], dtype=torch.float64)
    subject = problem(10, lambda t: 0.5 * (h * t * t).sum(-1))
    settings = Langevin(0.01, 10.0, 10.0, burn_in=60, samples=200)
    value, error = estimate(subject, settings)
    exact = quadratic_llc(h.numpy(), settings)
    assert abs(value - exact) < 4 * error and error < 0.15 * exact
    plain = 0.5 * (10 * h / (10 * h + 10.0)).sum()
    assert exact > 1.05 * float(plain)
    held = 10 * h + 10.0
    assert exact == pytest.approx(float((0.5 * 10 * h / held / (1 - 0.01 * held / 4)).sum()), rel=1e-12)


def test_the_chains_of_devinterp_agree():
    """Oracle: devinterp's sampler, of the same step, temperature and localisation, on the same quadratic."""
    package = pytest.importorskip("devinterp.optim", reason="devinterp is not installed: extra 'oracle'")
    h = torch.tensor([8.0, 3.0, 1.0, 0.5, 0.1, 0.0] + 4 * [4.0], dtype=torch.float64)
    settings = Langevin(0.01, 10.0, 10.0, burn_in=60, samples=300)
    each = []
    for chain in range(4):
        torch.manual_seed(chain)
        w = nn.Parameter(torch.zeros(10, dtype=torch.float64))
        sampler = package.SGMCMC.sgld([w], lr=0.01, nbeta=10.0, localization=10.0)
        losses = []
        for _ in range(settings.burn_in + settings.samples):
            sampler.zero_grad()
            loss = 0.5 * (h * w * w).sum()
            loss.backward()
            losses.append(float(loss.detach()))
            sampler.step()
        each.append(10.0 * np.mean(losses[settings.burn_in :]))  # nβ (mean loss − 0)
    theirs, error = np.mean(each), np.std(each, ddof=1) / len(each) ** 0.5
    assert abs(theirs - quadratic_llc(h.numpy(), settings)) < 4 * error and error < 0.1 * theirs
    ours, own = estimate(problem(10, lambda t: 0.5 * (h * t * t).sum(-1)), settings)
    assert abs(theirs - ours) < 4 * np.hypot(error, own)


def test_small_steps_give_half_the_effective_dimension():
    """Oracle: Σ h/(h + α) at α = γ/nβ by hand."""
    h = np.array([8.0, 3.0, 1.0, 0.5])
    settings = Langevin(1e-12, 20.0, 10.0)
    assert quadratic_llc(h, settings) == pytest.approx((h / (h + 2.0)).sum() / 2, rel=1e-9)


def test_a_singular_minimum():
    """Oracle: theory (Watanabe): L = w⁴ has ¼ at any temperature, where a regular parameter has ½."""
    subject = problem(1, lambda t: t.pow(4).sum(-1))
    settings = Langevin(0.01, 0.0, 10.0, burn_in=60, samples=250)
    value, error = estimate(subject, settings, 4)
    assert abs(value - 0.25) < 4 * error + 0.01 and error < 0.1


def test_batches_share_their_noise_with_the_checkpoint():
    """Oracle: the first rise is that of the checkpoint itself, 0 whatever the batch; one step by hand."""
    subject = CASES["mlp"].problem(weight_decay=0.1)
    rises = langevin_chain(subject, Langevin(1e-4, 1.0, 3.0, batch_size=4, burn_in=0, samples=3))
    assert abs(rises[0]) < 1e-12
    again = langevin_chain(subject, Langevin(1e-4, 1.0, 3.0, batch_size=4, burn_in=0, samples=3))
    np.testing.assert_array_equal(rises, again)
    other = langevin_chain(subject, Langevin(1e-4, 1.0, 3.0, batch_size=4, burn_in=0, samples=3), chain=1)
    assert rises[1] != other[1]
    whole = langevin_chain(subject, Langevin(1e-4, 1.0, 3.0, batch_size=10**6, burn_in=0, samples=2))
    noise = torch.randn(subject.size, generator=_noise(), dtype=torch.float64)
    w = subject.theta - 0.5e-4 * 3.0 * subject.gradient() + 1e-2 * noise
    assert whole[1] == pytest.approx(subject.measure(w).loss - subject.loss(), rel=1e-9)


def _noise():
    from landscape.core.seeds import seeded_generator

    return seeded_generator(0, 0)


def test_a_chain_that_diverges_is_nan():
    """Oracle: by inspection: ε nβh/4 > 1 multiplies w by more than 1 in size each time, up to overflow."""
    subject = problem(1, lambda t: t.pow(4).sum(-1))
    rises = langevin_chain(subject, Langevin(10.0, 0.0, 10.0, burn_in=0, samples=200))
    assert np.isnan(rises[-1])


def test_the_temperature():
    """Oracle: n/ln n by hand."""
    assert inverse_temperature(100) == pytest.approx(100 / 4.605170186)
    with pytest.raises(InputError, match="three examples"):
        inverse_temperature(2)


def test_what_cannot_be_is_told():
    """Oracle: the words of the sentences."""
    with pytest.raises(InputError, match="Langevin chain needs"):
        Langevin(0.0, 1.0, 1.0)
    subject = CASES["conv_batchnorm"].problem(batchnorm="batch")
    with pytest.raises(InputError, match="batchnorm='checkpoint'"):
        langevin_chain(subject, Langevin(1e-3, 1.0, 1.0))
