import math

import pytest
import torch
from scipy.special import lambertw
from torch import nn

from landscape.errors import InputError
from landscape.reference.models import gaussian_mlp, mlp
from landscape.reference.training import train
from landscape.reference.training.checkpoints import load_weights
from landscape.reference.training.objective import Batch
from landscape.reference.uncertainty import Mixture, Nomu, NomuLoss, fit_nomu, nomu, nomu_loss

X = torch.linspace(-0.8, 0.8, 6)[:, None]
Y = X[:, 0] ** 2


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def made(seed=0, **options):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Nomu(**{"inputs": 1, "width": 8, "depth": 2, **options})


def test_doubt_has_the_limits_of_its_map():
    """Oracle: the map by hand at r = 0, below it and far above it; its slope at 0 by the chain rule."""
    model = made()
    raw = torch.tensor([-5.0, 0.0, 0.7, 1e3], dtype=torch.float64, requires_grad=True)
    got = model.spread(raw)
    least = 2.0 * (1.0 - math.exp(-5e-4))
    want = [least, least, 2.0 * (1.0 - math.exp(-0.3505)), 2.0]
    torch.testing.assert_close(got, torch.tensor(want, dtype=torch.float64))
    (slope,) = torch.autograd.grad(got.sum(), raw)
    assert slope[0] == 0  # why the loss is one of r: here nothing would be learnt
    assert slope[2].item() == pytest.approx(math.exp(-0.3505))
    sd = model.draws(torch.randn(50, 1, generator=generator())).variance.sqrt()
    assert (sd >= least * (1 - 1e-6)).all()
    assert (sd < 2.0).all()


def test_the_loss_by_hand_and_its_gradients():
    """Oracle: the sum written out; the slope of the exponential is −π c e^(−c r)/L, also where r < 0."""
    f, r, y = torch.tensor([[1.0], [2.0]]), torch.tensor([[0.5], [-0.5]]), torch.tensor([1.0, 4.0])
    artificial = torch.tensor([[0.1], [-0.1], [0.0], [0.2]], dtype=torch.float64, requires_grad=True)
    loss = nomu_loss(f.double(), r.double(), y.double(), artificial)
    pulls = [math.exp(-30 * a) for a in (0.1, -0.1, 0.0, 0.2)]
    assert loss.item() == pytest.approx(4.0 + 0.1 * 0.5 + 0.01 * sum(pulls) / 4)
    (slope,) = torch.autograd.grad(loss, artificial)
    torch.testing.assert_close(slope[:, 0], torch.tensor([-0.01 * 30 * p / 4 for p in pulls]).double())
    zero = torch.zeros(2, 1)
    assert nomu_loss(f, zero, f[:, 0], torch.zeros(9, 1)).item() == pytest.approx(0.01)


def test_doubt_that_is_one_number_has_its_closed_form():
    """Oracle: Lambert's W: 2 π_sqr r = c π_exp e^(−c r) at r = W(c² π_exp / (2 π_sqr)) / c, for one datum."""
    model = made(inputs=1, width=1, depth=1).double()
    r = model.raw_spread.bias
    for parameter in model.parameters():
        parameter.requires_grad_(parameter is r)
        nn.init.zeros_(parameter)
    x, y = torch.zeros(1, 1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    fit_nomu(model, (x, y), objective=NomuLoss(l2=0.0), epochs=800, lr=0.003)
    want = lambertw(30.0**2 * 0.01 / (2 * 0.1)).real / 30
    assert r.item() == pytest.approx(want, rel=1e-5)


def test_two_networks_and_a_layer_that_reads_both():
    """Oracle: matrix products of the weights by name; which of them a gradient of r reaches."""
    model = made(targets=2).double()
    x = torch.randn(5, 1, dtype=torch.float64, generator=generator())
    w = dict(model.named_parameters())

    def hidden(name):
        h = x
        for layer in (1, 3):
            h = (h @ w[f"{name}.{layer}.weight"].T + w[f"{name}.{layer}.bias"]).clamp(min=0)
        return h

    both = torch.cat([hidden("main.0"), hidden("side")], 1)
    mean, raw = model.raw(x)
    torch.testing.assert_close(raw, both @ w["raw_spread.weight"].T + w["raw_spread.bias"])
    torch.testing.assert_close(mean, hidden("main.0") @ w["main.1.weight"].T + w["main.1.bias"])
    assert all(p.abs().max() <= 0.05 for p in w.values())
    for connected in (True, False):
        model.connected = connected
        model.zero_grad()
        model.raw(x)[1].sum().backward()
        assert (w["main.0.1.weight"].grad is not None) == connected
        assert w["side.1.weight"].grad is not None
    draws = model.draws(x)
    torch.testing.assert_close(draws.variance[0], model.spread(raw).square())
    assert draws.samples == 1


def test_a_trained_regression_stays_as_it_is():
    """Oracle: its own parameters and means, bit for bit; torch's random numbers; doubt grows all the same."""
    torch.manual_seed(0)
    given = {"epochs": 100, "width": 32, "depth": 2, "box": (-1.1, 1.1)}
    for member in (mlp((1, 8, 8, 1)), gaussian_mlp(1, (8, 8))):
        before = {name: part.clone() for name, part in member.state_dict().items()}
        state = torch.get_rng_state()
        found = nomu([member], (X, Y), **given)
        assert torch.equal(state, torch.get_rng_state())
        for module in (member, found.main):
            assert all(map(torch.equal, before.values(), module.state_dict().values()))
        assert all(p.requires_grad for p in member.parameters())
        mean = member(X)[:, :1]
        assert torch.equal(found.raw(X)[0], mean)
        near, far = found.raw(X)[1].mean(), found.raw(torch.tensor([[-1.1], [1.1]]))[1].mean()
        assert far > near
        assert torch.equal(nomu([member], (X, Y), **given)(X), found(X))
    assert isinstance(nomu([member, member], (X, Y), epochs=1, width=4), Mixture)


def test_artificial_points_are_new_in_each_step_and_within_the_box():
    """Oracle: the points that the network was shown; without a box, the range of the data and 5 % of it."""
    model, seen = made(), []
    model.side.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    batch = Batch(X, Y, torch.arange(6), 0.0)
    for box, low, high in (((-1.1, 1.1), -1.1, 1.1), (None, -0.88, 0.88)):
        objective, draws = NomuLoss(points=400, box=box), generator()
        objective.begin(model, (X, Y), draws)
        seen.clear()
        objective(model, batch, draws)
        objective(model, batch, draws)
        first, second = seen[1], seen[3]
        assert first.shape == (400, 1)
        assert not torch.equal(first, second)
        assert low <= first.min() < low + 0.02
        assert high - 0.02 < first.max() <= high


def test_the_weights_of_the_least_loss_are_kept():
    """Oracle: losses by hand: of three steps whose losses are set, the weights before the second are kept."""
    model = made()
    objective, batch, draws = NomuLoss(), Batch(X, Y, torch.arange(6), 0.0), generator()
    objective.begin(model, (X, Y), draws)
    bias, shifts = model.main[1].bias, (3.0, 0.25, 8.0)
    for epoch, shift in enumerate(shifts):
        objective.epoch(model, epoch, draws)
        nn.init.constant_(bias, shift)
        objective(model, batch, draws)
        nn.init.constant_(bias, 99.0)  # what an optimiser leaves behind
    objective.end(model, (X, Y))
    assert bias.item() == 0.25


def test_a_training_that_was_killed_goes_on_with_the_same_bits(tmp_path):
    """Oracle: the training that was not killed; its file byte for byte. It loads into the plain module."""

    def run(path, last=None):
        model = made()

        def stop(done, *rest):
            if done == last:
                raise KeyboardInterrupt

        options = {"epochs": 7, "batch_size": 3, "loss": "gaussian_nll", "save_every": 2}
        train(model, (X, Y), (X, Y), path=path, objective=NomuLoss(points=5), on_epoch=stop, **options)
        return model

    whole = run(tmp_path / "whole.safetensors")
    for last in (3, 5):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "killed.safetensors", last)
    run(tmp_path / "killed.safetensors")
    files = [(tmp_path / f"{name}.safetensors").read_bytes() for name in ("whole", "killed")]
    assert files[0] == files[1]
    other = made(seed=5)
    load_weights(other, tmp_path / "whole.safetensors")
    assert torch.equal(other(X), whole(X))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Nomu(width=0), "Nomu: sizes are positive, not width 0"),
        (lambda: Nomu(r_min=3.0), "r_min lies between 0 and r_max, not 3.0 of 2.0"),
        (lambda: NomuLoss(points=0), "points must be at least 1"),
        (lambda: NomuLoss(squared=-1.0), "squared must be at least 0, not -1"),
        (lambda: NomuLoss(box=(1.0, 1.0)), "box is a lower and an upper number"),
        (lambda: Nomu.around(nn.ReLU()), "the model has no linear layer 'any'"),
        (
            lambda: Nomu.around(nn.Sequential(nn.Conv1d(1, 1, 1), nn.Linear(3, 1))),
            "is no linear one but Conv1d",
        ),
        (lambda: Nomu.around(mlp((1, 3, 2))).draws(X), r"needs means \(6, 1\) .* which puts out \(6, 2\)"),
        (lambda: NomuLoss()(nn.Linear(1, 1), Batch(X, Y, X, 0.0), generator()), "trains a Nomu, not Linear"),
        (lambda: fit_nomu(made(), (X, Y), epochs=0), "needs an example and an epoch; got 6 and 0"),
    ],
)
def test_what_cannot_be_is_said(make, message):
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match=message):
        make()
