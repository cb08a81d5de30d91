import numpy as np
import pytest
import torch
from torch import nn

from landscape.core.behaviour.mc_dropout import MCDropout, _seeds, mc_samples
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


@pytest.mark.parametrize(
    "dropout", [nn.Dropout(0.4), nn.AlphaDropout(0.4), nn.Dropout(0.4, inplace=True)], ids=lambda d: str(d)
)
def test_mc_samples_of_an_example_are_torchs_own_dropout(dropout):
    """Oracle: torch's own dropout in training mode, example by example, under the seed of each mask."""
    net = nn.Sequential(nn.Linear(6, 5), dropout, nn.Linear(5, 3)).double()
    x = torch.randn(4, 6, dtype=torch.float64)
    by_hand = torch.zeros(2, 4, 3, dtype=torch.float64)
    for draw in range(2):
        for number, seed in enumerate(_seeds(7, draw, 0, np.arange(4))):
            with torch.random.fork_rng(), torch.no_grad():
                torch.manual_seed(seed)
                by_hand[draw, number] = net.train()(x[[number]])[0].log_softmax(-1)
    state = torch.get_rng_state()
    torch.testing.assert_close(mc_samples(net, x, 2, seed=7), by_hand, rtol=1e-13, atol=1e-13)
    assert torch.equal(torch.get_rng_state(), state)


def test_samples_of_an_example_do_not_depend_on_how_batches_are_cut():
    """Oracle: all examples at once, bit for bit: the net holds no matrix product. Masks differ everywhere."""
    net = nn.Sequential(nn.Dropout(0.5), nn.ReLU(), nn.Dropout(0.3)).eval()
    x = torch.rand(7, 40) + 1
    whole = mc_samples(net, x, 3, seed=1)
    for cut in (1, 2, 6):
        assert torch.equal(mc_samples(net, x, 3, seed=1, batch=cut), whole)
    assert torch.equal(mc_samples(net, x[4:], 3, seed=1, first=4), whole[:, 4:])
    zeros = (mc_samples(nn.Sequential(nn.Dropout(0.5)), torch.full((7, 40), 9.0), 3).exp() < 1e-3).flatten(
        0, 1
    )
    assert len(zeros.unique(dim=0)) == 21
    assert abs(zeros.double().mean() - 0.5) < 4 * 0.5 / 840**0.5
    other = mc_samples(nn.Sequential(nn.Dropout(0.5)), torch.full((7, 40), 9.0), 3, seed=1).exp() < 1e-3
    assert not torch.equal(other.flatten(0, 1), zeros)


def test_rows_of_one_example_may_be_several():
    """Oracle: the same masks if examples are cut apart; rows that are not those of examples are refused."""

    class Windows(nn.Module):
        def __init__(self, rows):
            super().__init__()
            self.rows, self.dropout = rows, nn.Dropout(0.5)

        def forward(self, x):
            return self.dropout(x.reshape(self.rows * len(x), -1) if self.rows else x.T).reshape(len(x), -1)

    x = torch.rand(5, 8) + 1
    whole = mc_samples(Windows(2), x, 2)
    assert torch.equal(mc_samples(Windows(2), x, 2, batch=2), whole)
    with pytest.raises(InputError, match=r"shape \(8, 5\) for 5 examples"):
        mc_samples(Windows(0), x, 2)


@pytest.mark.parametrize(
    "dropout", [nn.Dropout(0.4), nn.AlphaDropout(0.4), nn.Dropout(0.4, inplace=True)], ids=lambda d: str(d)
)
def test_a_draw_of_one_example_is_torchs_own_dropout(dropout):
    """Oracle: torch's own dropout in training mode, seeded as the draw says, up to one rounding."""
    net = nn.Sequential(nn.Linear(6, 5), dropout, nn.Linear(5, 3)).double()
    x = torch.randn(1, 6, dtype=torch.float64)
    module = MCDropout(net, samples=3, seed=7).eval()
    by_hand = []
    for index in range(3):
        with torch.random.fork_rng():
            torch.manual_seed(int(np.random.SeedSequence((7, index)).generate_state(1)[0]))
            by_hand.append(net.train()(x).log_softmax(-1))
    net.eval()
    torch.testing.assert_close(module.draws(x).log_p, torch.stack(by_hand), rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(
        module.draws(x, seed=2).log_p, MCDropout(net, samples=3, seed=9).draws(x).log_p, rtol=0, atol=0
    )


def test_draws_do_not_depend_on_how_batches_are_cut():
    """Oracle: all examples at once. The net holds no matrix product, so that not even rounding differs."""
    net = nn.Sequential(nn.Dropout(0.5), nn.ReLU(), nn.Dropout(0.3)).eval()
    x = torch.randn(7, 4)
    module = MCDropout(net, samples=5, seed=1)
    whole = module.draws(x).log_p
    for cut in (1, 2, 6):
        parts = [module.draws(part).log_p for part in torch.split(x, cut)]
        assert torch.equal(torch.cat(parts, dim=1), whole)
    assert torch.equal(module.draws(x, 2).log_p, whole[:2])
    assert not torch.equal(whole[0], whole[1])


def test_channels_are_dropped_whole():
    """Oracle: each channel of an image of ones is 0 or 1/(1 − p) throughout, alike for all examples."""
    seen = []
    net = nn.Sequential(nn.Dropout2d(0.5), nn.Flatten()).eval()
    net[1].register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    MCDropout(net, samples=6).draws(torch.ones(3, 4, 2, 2))
    stack = torch.stack(seen)
    assert set(stack.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(stack, stack[:, :1, :, :1, :1].expand_as(stack))


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
