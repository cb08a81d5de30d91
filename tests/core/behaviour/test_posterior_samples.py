import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from landscape.core.behaviour.posterior_samples import PosteriorSamples
from landscape.core.problem.problem import Problem
from landscape.core.stats.r_hat import split_r_hat
from landscape.errors import InputError


def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 3)).double()
        model.append(nn.Linear(3, 3, bias=False).double())
        model[1].running_mean.normal_()
    return model.eval()


def points(count, seed=1):
    size = sum(p.numel() for p in net().parameters())
    return torch.randn(count, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


X = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def at(theta):
    """A copy of the net at a point, by torch's own function."""
    model = copy.deepcopy(net())
    vector_to_parameters(theta, model.parameters())
    return model


def test_draws_are_the_net_at_each_point():
    """Oracle: copies of the net that torch's own vector_to_parameters has filled."""
    thetas = points(3)
    draws = PosteriorSamples(net(), thetas).draws(X)
    torch.testing.assert_close(draws.log_p, torch.stack([at(t)(X).log_softmax(-1) for t in thetas]))


def test_samples_of_one_point_are_the_net():
    """Oracle: the net itself."""
    model = net()
    theta = parameters_to_vector(model.parameters()).detach()
    torch.testing.assert_close(PosteriorSamples(model, theta[None])(X), model(X).log_softmax(-1))


def test_fewer_samples_are_spread_over_the_chain():
    """Oracle: the middles of equal parts of the chain; more than there are is all."""
    thetas = points(9)
    module = PosteriorSamples(net(), thetas)
    every = module.draws(X).log_p
    assert torch.equal(module.draws(X, 3).log_p, every[[1, 4, 7]])
    assert torch.equal(module.draws(X, 1).log_p, every[[4]])
    assert torch.equal(module.draws(X, 30, seed=8).log_p, every)


def test_points_are_part_of_the_state_and_survive_a_problems_copy():
    """Oracle: the mixture of the module itself; a result's provenance hashes the state."""
    module = PosteriorSamples(net(), points(2))
    assert "thetas" in module.state_dict()
    problem = Problem(module, "cross_entropy", (X, torch.arange(4) % 3))
    want = nn.functional.cross_entropy(module(X), torch.arange(4) % 3).item()
    assert problem.loss() == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PosteriorSamples(net(), points(2)[:, 1:]), "rows of its 72 parameters; got shape"),
        (lambda: PosteriorSamples(net(), points(0)), r"got shape \(0, 72\)"),
        (lambda: PosteriorSamples(net(), points(2)[0]), r"got shape \(72,\)"),
        (lambda: PosteriorSamples(net(), points(2)).draws(X, 0), "one or more at a time, not 0"),
        (
            lambda: PosteriorSamples(net(), points(5), chains=2),
            "5 posterior samples are not those of 2 chains",
        ),
        (lambda: PosteriorSamples(net(), points(6), chains=2).r_hat(X), "chains of four draws or more"),
    ],
)
def test_what_does_not_fit_is_named(make, message):
    """Oracle: the sentence the user must see. 72 = 6·5 + 5 + 5 + 5 + 5·3 + 3 + 9."""
    with pytest.raises(InputError, match=message):
        make()


def test_r_hat_is_that_of_the_probabilities_chain_by_chain():
    """Oracle: R̂ of the probabilities of copies of the net, put into two chains by hand."""
    thetas = points(8)
    found = PosteriorSamples(net(), thetas, chains=2).r_hat(X)
    every = torch.stack([at(t)(X).softmax(-1) for t in thetas]).detach().numpy()
    np.testing.assert_allclose(found, split_r_hat(np.stack([every[:4], every[4:]])), rtol=1e-12)
    assert found.shape == (4, 3)
