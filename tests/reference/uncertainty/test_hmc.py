import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import nn

import landscape
from landscape.core.posterior.prior import GaussianPrior
from landscape.core.problem.problem import Problem
from landscape.errors import InputError
from landscape.reference.models import mlp
from landscape.reference.training.checkpoints import read_notes
from landscape.reference.uncertainty import GaussianHead, hmc, hmc_posterior, stored_posterior
from landscape.reference.uncertainty import hmc as function

module = __import__("sys").modules["landscape.reference.uncertainty.hmc"]
VARIANCE = 0.5


def regression(inputs=3, count=8):
    """A linear regression with one input that is always 0 and one that is another's double."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(count, inputs, dtype=torch.float64, generator=generator)
    x = torch.cat([x, torch.zeros(count, 1, dtype=torch.float64), 2 * x[:, :1]], 1) / 2
    y = x[:, :1] - x[:, 1:2] + torch.randn(count, 1, dtype=torch.float64, generator=generator)
    return nn.Linear(inputs + 2, 1, bias=False).double(), (x, y)


def classification():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = mlp((4, 3, 3))
        x = torch.randn(20, 4)
    return model, (x, torch.arange(20) % 3)


def within(draws, want, variance):
    """Whether means of draws (S, ...) of known variance lie within five standard errors.

    Draws of a chain count for less: by (1 − ρ)/(1 + ρ), with ρ their correlation from one to the next.
    """
    about = draws - want
    rho = ((about[1:] * about[:-1]).mean(0) / variance).clip(0.0, 0.9)
    error = np.sqrt(variance / len(draws) * (1 + rho) / (1 - rho))
    return bool((np.abs(about.mean(0)) <= 5 * error).all())


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_draws_of_a_linear_regression_are_those_of_its_posterior(temperature):
    """Oracle: the conjugate posterior, mean and covariance, within five standard errors.

    It has all that the data say nothing of: along the input that is 0 the prior's variance, and along what
    two parallel inputs share none of, 2 w₁ − w₅, the prior's too, 5 σ². At a temperature the data count 1/τ
    times.
    """
    model, (x, y) = regression()
    problem = Problem(model, "half_squared_error", (x, y))
    prior = GaussianPrior.isotropic(problem.space, VARIANCE)
    given = {"samples": 200, "burn_in": 20, "step": 0.3, "jitter": 0.4}
    chain = hmc(problem, prior, temperature=temperature, seed=3, **given)
    X = x.numpy()
    covariance = np.linalg.inv(X.T @ X / temperature + np.eye(5) / VARIANCE)
    mean = covariance @ X.T @ y.numpy()[:, 0] / temperature
    draws, variance = chain.theta.numpy(), covariance.diagonal()
    assert within(draws, mean, variance)
    products = (draws - mean)[:, :, None] * (draws - mean)[:, None, :]
    assert within(products, covariance, np.outer(variance, variance) + covariance**2)
    free = np.array([2.0, 0, 0, 0, -1.0])
    assert within((draws @ free) ** 2, 5 * VARIANCE, 2 * (5 * VARIANCE) ** 2)
    assert covariance[3, 3] == pytest.approx(VARIANCE)
    assert 0.7 < chain.accept[20:].mean() < 0.99


def test_a_posterior_half_as_wide_as_the_prior_is_in_resonance():
    """Oracle: the harmonic oscillator: at twice the prior's frequency a quarter of a period is a half.

    Every trajectory then ends opposite to where it began, however many there are; with jitter it does not.
    """
    model = nn.Linear(1, 1, bias=False).double()
    data = torch.full((1, 1), math.sqrt(3 / VARIANCE)).double(), torch.zeros(1, 1).double()
    problem = Problem(model, "half_squared_error", data)
    prior = GaussianPrior.isotropic(problem.space, VARIANCE)
    given = {"samples": 8, "burn_in": 0, "step": 0.03, "start": torch.full((1,), 0.3).double()}
    still, free = (hmc(problem, prior, jitter=j, **given).theta.abs() for j in (0.0, 0.4))
    assert (still - 0.3).abs().max() < 0.02
    assert (free - 0.3).abs().max() > 0.1


def test_a_quarter_of_a_period_draws_the_prior_anew():
    """Oracle: closed forms of the leapfrog on ½‖v‖² in 500 dimensions, where no data speak.

    Its error is ε²/8 (‖v′‖² − ‖v‖²), so that energy errors have the variance 4·500 (ε²/8)² and, being nearly
    normal with half of it as their mean, the acceptance is 2Φ(−sd/2). Draws have the variance of the prior,
    and none of them remembers the one before.
    """
    steps, size, draws = 8, 500, 80
    model = nn.Linear(size, 1, bias=False).double()
    nn.init.normal_(model.weight, std=math.sqrt(VARIANCE), generator=torch.Generator().manual_seed(0))
    problem = Problem(
        model, "half_squared_error", (torch.zeros(2, size).double(), torch.zeros(2, 1).double())
    )
    prior = GaussianPrior.isotropic(problem.space, VARIANCE)
    chain = hmc(problem, prior, samples=draws, burn_in=0, step=math.pi / 2 / steps)
    assert chain.steps == steps
    assert chain.step == pytest.approx(math.pi / 2 / steps)
    sd = 2 * math.sqrt(size) * chain.step**2 / 8
    assert chain.energy_error.std() == pytest.approx(sd, rel=5 / math.sqrt(2 * draws))
    spread = sd * math.sqrt(2 / math.pi) / math.sqrt(draws)
    assert chain.accept.mean() == pytest.approx(2 * norm.cdf(-sd / 2), abs=5 * spread)
    v = chain.theta.numpy() / math.sqrt(VARIANCE)
    moved = np.abs(np.diff(v, axis=0)).sum(1) > 0
    assert v.var() == pytest.approx(1, abs=0.05)
    memory = (v[1:] * v[:-1])[moved].mean()
    assert abs(memory) < 5 / math.sqrt(moved.sum() * size) + 0.01


def test_a_rejected_end_repeats_the_sample_before_it():
    """Oracle: a step so large that every trajectory diverges: the start, again and again, and no error."""
    model, data = regression()
    problem = Problem(model, "half_squared_error", data)
    prior = GaussianPrior.isotropic(problem.space, VARIANCE)
    chain = hmc(problem, prior, samples=4, burn_in=0, step=1e6, length=5e6)
    # T T⁻¹ θ, not θ itself, so to rounding
    torch.testing.assert_close(chain.theta, problem.theta.expand(4, -1), rtol=1e-15, atol=0)
    assert (chain.accept == 0).all()
    mixed = hmc(problem, prior, samples=60, burn_in=0, step=0.9, length=0.9)
    repeats = (mixed.theta[1:] == mixed.theta[:-1]).all(1)
    assert 0 < repeats.sum() < 59


def test_two_chains_agree_on_predictions():
    """Oracle: R̂ near 1 for predictions of chains from far apart, far from 1 for two that have not moved."""
    model, data = classification()
    problem = Problem(model, "cross_entropy", data)
    prior = GaussianPrior.isotropic(problem.space, VARIANCE)

    def predict(theta):
        with torch.no_grad(), problem.at(theta):
            return problem.module(data[0]).softmax(-1)

    starts = [3 * torch.randn(problem.size, generator=torch.Generator().manual_seed(i)) for i in (0, 1)]
    first, second = (
        hmc(problem, prior, samples=50, burn_in=15, step=0.3, start=s, seed=i) for i, s in enumerate(starts)
    )
    assert first.r_hat(predict, second).max() < 1.1
    still = [
        hmc(problem, prior, samples=6, burn_in=0, length=1e-4, step=1e-4, start=s, progress=True)
        for s in starts
    ]
    assert still[0].r_hat(predict, still[1]).max() > 10


@pytest.mark.filterwarnings("ignore")
def test_a_chain_that_was_killed_goes_on_with_the_same_bits(tmp_path, monkeypatch):
    """Oracle: the chain that was never killed. What is stored is safetensors and is not computed again."""
    monkeypatch.setattr(module, "SAVE_EVERY_S", -1.0)
    model, data = classification()
    given = {"variance": VARIANCE, "samples": 6, "burn_in": 4, "step": 0.2, "folder": str(tmp_path)}
    whole = hmc_posterior([model], data, **{**given, "folder": ""})
    for at in (2, 7):

        def die(done, total, accept, at=at):
            if done == at:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            hmc_posterior([model], data, on_iteration=die, **given)
    seen = []
    resumed = hmc_posterior(
        [model], data, on_iteration=lambda done, total, a: seen.append((done, total)), **given
    )
    assert seen == [(8, 10), (9, 10), (10, 10)]
    assert torch.equal(resumed.thetas, whole.thetas)
    (path,) = (found for found in tmp_path.iterdir() if found.suffix != ".lock")
    assert path.suffix == ".safetensors"
    assert read_notes(path)["chains"][0]["steps"] > 1
    seen.clear()
    again = hmc_posterior([model], data, on_iteration=lambda *a: seen.append(a), **given)
    assert torch.equal(again.thetas, whole.thetas)
    assert not seen
    other = hmc_posterior([model], data, **{**given, "seed": 1})
    assert not torch.equal(other.thetas, whole.thetas)
    assert len(list(tmp_path.glob("*.safetensors"))) == 2
    read = stored_posterior(6, kwargs={"widths": (4, 3, 3)})
    read.load_state_dict(__import__("safetensors.torch").torch.load_file(path))
    assert torch.equal(read(data[0]), whole(data[0]))


def test_one_seed_one_chain_whatever_others_draw():
    """Oracle: the same bits twice, and torch's own random numbers where they were."""
    model, data = classification()
    given = {"variance": VARIANCE, "samples": 3, "burn_in": 1, "step": 0.3}
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = hmc_posterior([model], data, **given)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert torch.equal(hmc_posterior([model], data, **given).thetas, first.thetas)
    assert not torch.equal(hmc_posterior([model], data, seed=1, **given).thetas, first.thetas)


def test_members_start_chains_one_after_the_other():
    """Oracle: chains of single members, with the seeds that follow; frozen weights are sampled too."""
    model, data = classification()
    other, _ = classification()
    with torch.no_grad():
        other.fc1.weight.neg_()
    other.fc2.weight.requires_grad_(False)
    given = {"variance": VARIANCE, "samples": 4, "burn_in": 1, "step": 0.3, "prior": "empirical_covariance"}
    both = hmc_posterior([model, other], data, **given)
    assert both.chains == 2
    assert torch.equal(both.thetas[:4], hmc_posterior([model], data, **given).thetas)
    assert torch.equal(both.thetas[4:], hmc_posterior([other], data, seed=1, **given).thetas)
    assert torch.equal(hmc_posterior([model, other], data, chains=1, **given).thetas, both.thetas[:4])
    assert both.r_hat(data[0]).shape == (20, 3)
    torch.testing.assert_close(both(data[0]), both.draws(data[0]).mixture())


def test_a_regression_is_sampled_with_its_noise():
    """Oracle: the chain of the same loss by the function itself; predictions are means and variances."""
    model, (x, y) = regression()
    head = GaussianHead(model, variance=1.0)
    found = hmc_posterior([head], (x, y), variance=VARIANCE, samples=3, burn_in=1, step=0.4)
    problem = Problem(head, "gaussian_nll", (x, y))
    chain = function(
        problem, GaussianPrior.isotropic(problem.space, VARIANCE), samples=3, burn_in=1, step=0.4
    )
    assert torch.equal(found.thetas, chain.theta)
    draws = found.draws(x)
    torch.testing.assert_close(draws.mean[..., 0], found.thetas @ x.T)
    assert (draws.variance - 1).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 0}, "hmc: samples must be at least 1, not 0"),
        ({"burn_in": -1}, "hmc: burn_in must be at least 0, not -1"),
        ({"step": 0.0}, "hmc: step must be positive and finite, not 0"),
        ({"jitter": 1.0}, "hmc: jitter is a share from 0 to below 1, not 1"),
        ({"target": 1.0}, "hmc: target is an acceptance between 0 and 1, not 1"),
        ({"chains": 2}, "2 chains start from as many members; there are 1"),
        ({"prior": "flat"}, "there is no prior 'flat'"),
        ({"folder": "x", "start": torch.ones(2)}, "options of a chain are what JSON can hold"),
    ],
)
def test_what_does_not_fit_is_named(options, message):
    """Oracle: the sentence the user must see."""
    model, data = classification()
    with pytest.raises(InputError, match=message):
        hmc_posterior([model], data, variance=VARIANCE, **options)
    assert not Path("x").exists()


def test_a_start_that_is_no_number_is_named():
    """Oracle: the sentence the user must see."""
    model, data = classification()
    problem = Problem(model, "cross_entropy", data)
    prior = GaussianPrior.isotropic(problem.space, VARIANCE)
    with pytest.raises(InputError, match="loss at the start of the chain is"):
        hmc(problem, prior, start=torch.full((problem.size,), 1e38))


def test_it_is_a_classifier_to_every_analysis():
    """Oracle: the mean NLL of the mixture, by hand."""
    model, data = classification()
    found = hmc_posterior([model], data, variance=VARIANCE, samples=3, burn_in=1, step=0.4)
    problem = landscape.Problem(found, "cross_entropy", data)
    want = nn.functional.nll_loss(found.draws(data[0]).log_p.exp().mean(0).log(), data[1])
    assert problem.loss() == pytest.approx(float(want), rel=1e-5)


def test_chains_of_several_members_share_buffers():
    """Oracle: the sentence the user must see.

    A sample of the second would be read with statistics of the first.
    """
    first, second = (nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)) for _ in range(2))
    second[1].running_mean.fill_(5.0)
    data = torch.randn(6, 3), torch.arange(6) % 2
    with pytest.raises(InputError, match="those of member 2 are not those of member 1: take chains = 1"):
        hmc_posterior([first, second], data, variance=1.0)
