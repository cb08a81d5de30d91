import pytest
import torch
from torch import nn

from landscape.core.behaviour.mc_dropout import MCDropout, mc_samples
from landscape.errors import InputError
from landscape.reference.models import mlp, resnet


def dropout_net(p=0.5):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Dropout(p), nn.Linear(5, 3)).eval()


def test_mc_dropout_averages_over_masks():
    """Oracle: for one hidden unit kept with probability 1/2, the mean of two known softmaxes."""
    net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Dropout(0.5), nn.Linear(1, 2, bias=False)).eval()
    with torch.no_grad():
        net[0].weight.fill_(1.0)
        net[2].weight.copy_(torch.tensor([[1.0], [-1.0]]))
    x = torch.ones(1, 1)
    kept, lost = torch.tensor([2.0, -2.0]).softmax(-1), torch.tensor([0.5, 0.5])
    want = (kept + lost) / 2
    got = MCDropout(net, samples=4000)(x).exp()[0].detach()
    error = 4 * float((kept - lost).abs()[0]) / 2 / 4000**0.5
    assert abs(float(got[0] - want[0])) < error


def test_mc_dropout_is_seeded_and_leaves_the_callers_state():
    """Oracle: the same bits twice; dropout off and the caller's random numbers unmoved afterwards."""
    net = dropout_net()
    x = torch.randn(4, 6)
    module = MCDropout(net, samples=3, seed=7)
    state = torch.get_rng_state()
    first = module(x)
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(first, module(x))
    assert not torch.equal(first, MCDropout(net, samples=3, seed=8)(x))
    assert not net[1].training
    assert torch.equal(net(x), net(x))


def test_mc_samples_are_the_terms_of_the_mean():
    """Oracle: the module of as many samples, on one batch."""
    net = dropout_net()
    x = torch.randn(4, 6)
    samples = mc_samples(net, x, 5, seed=7)
    assert samples.shape == (5, 4, 3)
    torch.testing.assert_close(samples.exp().mean(0).log(), MCDropout(net, samples=5, seed=7)(x))


def test_draws_are_the_passes_of_the_masks():
    """Oracle: torch's own dropout in training mode under the seed, mask by mask, bit for bit."""
    net = dropout_net()
    x = torch.randn(4, 6)
    module = MCDropout(net, samples=3, seed=7)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        by_hand = torch.stack([net.train()(x).log_softmax(-1) for _ in range(5)])
    net.eval()
    assert torch.equal(module.draws(x, 5).log_p, by_hand)
    assert torch.equal(module.draws(x).log_p, by_hand[:3])
    assert torch.equal(module(x), module.draws(x).mixture())
    assert torch.equal(module.draws(x, seed=2).log_p, MCDropout(net, samples=3, seed=9).draws(x).log_p)


def test_mc_dropout_leaves_batchnorm_in_eval_mode():
    """Oracle: the buffers before."""
    net = resnet(width=2, blocks=(1,), dropout=0.3).eval()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    mc_samples(net, torch.randn(3, 1, 8, 8), 2)
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_what_cannot_be_averaged_is_named():
    with pytest.raises(InputError, match="no dropout"):
        MCDropout(mlp((6, 3)))
    with pytest.raises(InputError, match="no dropout"):
        mc_samples(dropout_net(0.0), torch.randn(1, 6), 2)
    with pytest.raises(InputError, match="at least one sample"):
        MCDropout(dropout_net(), samples=0)
    with pytest.raises(InputError, match="at least one sample"):
        MCDropout(dropout_net()).draws(torch.randn(1, 6), 0)
