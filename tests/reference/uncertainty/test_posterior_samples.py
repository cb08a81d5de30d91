import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import vector_to_parameters

from landscape.errors import InputError
from landscape.reference.models import mlp
from landscape.reference.uncertainty import PosteriorSamples, posterior_samples, stored_posterior


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


def test_a_manifest_names_checkpoints_of_a_chain():
    """Oracle: the class itself on the members' parameters; what is not one network is a sentence."""
    thetas = points(3)
    chain = posterior_samples([at(theta) for theta in thetas])
    assert torch.equal(chain.draws(X).log_p, PosteriorSamples(net(), thetas).draws(X).log_p)
    with pytest.raises(InputError, match="member 2 has other parameters than member 1"):
        posterior_samples([net(), nn.Linear(6, 3).double()])
    moved = net()
    moved[1].running_mean += 1
    with pytest.raises(InputError, match="those of member 2 are not those of member 1: take DeepEnsemble"):
        posterior_samples([net(), moved])


def test_a_checkpoint_holds_the_samples():
    """Oracle: the predictive whose state was loaded, on the same inputs."""
    model = mlp((6, 4, 3))
    thetas = torch.randn(5, sum(p.numel() for p in model.parameters()))
    written = PosteriorSamples(model, thetas)
    read = stored_posterior(5, kwargs={"widths": (6, 4, 3)})
    read.load_state_dict(written.state_dict())
    assert torch.equal(read(X.float()), written(X.float()))
    with pytest.raises(InputError, match="rows of its 43 parameters"):
        stored_posterior(0, kwargs={"widths": (6, 4, 3)})
