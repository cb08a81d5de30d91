import pytest
import torch
from torch import nn

from landscape.core.behaviour.deep_ensemble import DeepEnsemble
from landscape.core.behaviour.mc_dropout import MCDropout
from landscape.core.problem.problem import Problem
from landscape.errors import InputError
from landscape.reference.uncertainty import GaussianHead, PosteriorSamples, mc_dropout, spread_ensemble

X = torch.randn(9, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
Y = X.sum(1)


def net(outputs=2, dropout=0.0):
    return (
        nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Dropout(dropout), nn.Linear(4, outputs)).double().eval()
    )


def test_a_head_is_its_network():
    """Oracle: the network itself, in its outputs, its loss and its gradient; draws by the formula."""
    model = net()
    head = GaussianHead(model)
    assert torch.equal(head(X), model(X))
    a, b = (Problem(module, "gaussian_nll", (X, Y)) for module in (head, model))
    assert a.loss() == b.loss()
    assert torch.equal(a.gradient(), b.gradient())
    draws = head.draws(X)
    assert torch.equal(draws.mean[0], model(X)[:, :1])
    torch.testing.assert_close(draws.variance[0], model(X)[:, 1:].exp().log1p() + 1e-6)


def test_means_alone_have_the_variance_that_is_given():
    """Oracle: the numbers given; of an ensemble without noise of its own, the spread of the means."""
    nets = [net(1) for _ in range(4)]
    draws = GaussianHead(nets[0], 0.25).draws(X)
    assert (draws.variance == 0.25).all()
    torch.testing.assert_close(GaussianHead(nets[0], 0.25)(X)[:, 0], nets[0](X)[:, 0])
    mean, variance = DeepEnsemble([GaussianHead(n, 0.0) for n in nets]).draws(X).mixture()
    means = torch.stack([n(X) for n in nets])
    torch.testing.assert_close(mean, means.mean(0))
    torch.testing.assert_close(variance, means.var(0, correction=0))
    spread = spread_ensemble([net() for _ in range(3)]).draws(X)
    assert (spread.variance == 0).all()
    with pytest.raises(InputError, match="a variance is finite and not negative; got -1"):
        GaussianHead(nets[0], -1.0)


def test_predictives_of_regressions_have_draws_of_regressions():
    """Oracle: the networks themselves: masks of a head are those of its network; points of a chain are it."""
    model = net(dropout=0.5)
    heads = MCDropout(GaussianHead(model), 5).draws(X)
    plain = mc_dropout([model], 5, kind="regression").draws(X)
    assert heads.kind == plain.kind == "regression"
    assert heads.samples == 5
    assert torch.equal(heads.mean, plain.mean)
    assert torch.equal(heads.variance, plain.variance)
    theta = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
    for chain in (
        PosteriorSamples(model, theta[None], "regression"),
        PosteriorSamples(GaussianHead(model), theta[None]),
    ):
        assert torch.equal(chain.draws(X).mean[0], model(X)[:, :1])


def test_the_loss_of_an_ensemble_is_that_of_its_mixture():
    """Oracle: the Gaussian density of the mixture's mean and variance, by torch.distributions."""
    members = [GaussianHead(net()) for _ in range(3)]
    ensemble = DeepEnsemble(members)
    mean, variance = ensemble.draws(X).mixture()
    want = -torch.distributions.Normal(mean, variance.sqrt()).log_prob(Y[:, None]).mean()
    assert Problem(ensemble, "gaussian_nll", (X, Y)).loss() == pytest.approx(want.item(), rel=1e-12)
