import pytest
import torch
from torch import nn

from landscape.core.behaviour.mc_dropout import MCDropout
from landscape.core.behaviour.predictive import Mixture
from landscape.errors import InputError
from landscape.reference.uncertainty import mc_dropout


def net(seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(6, 5), nn.Dropout(0.5), nn.Linear(5, 4)).eval()


def test_one_model_and_several():
    """Oracle: `MCDropout` of each model, whose draws stand one after the other."""
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    a, b = net(0), net(1)
    one, two = mc_dropout([a], samples=3, seed=5), mc_dropout([a, b], samples=3, seed=5)
    parts = [MCDropout(m, 3, 5).draws(x).log_p for m in (a, b)]
    assert isinstance(one, MCDropout)
    assert isinstance(two, Mixture)
    assert torch.equal(one.draws(x).log_p, parts[0])
    assert torch.equal(two.draws(x).log_p, torch.cat(parts))


def test_models_without_dropout_are_named():
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match="Linear has no dropout to sample from"):
        mc_dropout([nn.Linear(2, 2)])


def test_the_spread_of_a_regression_is_that_of_its_masks():
    """Oracle: variance of the means of single masks; classes have none."""
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    means = MCDropout(net(0), 5, kind="regression").draws(x).mean
    mean, variance = mc_dropout([net(0)], 5, kind="regression", spread=True).draws(x).mixture()
    torch.testing.assert_close(mean, means.mean(0))
    torch.testing.assert_close(variance, means.var(0, correction=0))
    with pytest.raises(InputError, match="the spread of means is one of regressions"):
        mc_dropout([net(0)], spread=True).draws(x)
