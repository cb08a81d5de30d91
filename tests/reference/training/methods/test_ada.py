"""AdA: worst weights of networks for which they are known, balls, the bound on similarity, and training."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional

from landscape.errors import InputError
from landscape.reference.models import autoencoder, resnet
from landscape.reference.training import Batch, CrossEntropy, train
from landscape.reference.training.methods.ada import (
    AdversarialAugmentation,
    corrupted,
    similar,
    structural_similarity,
    worst_offset,
)


class Killed(BaseException):
    """Stands for a process that ends: nothing catches it."""


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


DATA = torch.rand(20, 1, 8, 8, generator=generator()), torch.arange(20) % 3
SMALL = {"width": 3, "fitting": 1, "steps": 2}


def net():
    torch.manual_seed(3)
    return resnet(width=2, blocks=(1, 1), classes=3)


def image_network():
    torch.manual_seed(1)
    return autoencoder(3).double()


class LinearImages(nn.Module):
    """Images as vectors times a matrix: a linear autoencoder."""

    def __init__(self, size):
        super().__init__()
        weight = torch.randn(size, size, generator=generator(2), dtype=torch.float64)
        self.weight = nn.Parameter(weight)

    def forward(self, x):
        return (x.flatten(1) @ self.weight.T).view(x.shape)


def test_no_offset_is_the_image_itself():
    """Oracle: the image, exactly, though the network is random and makes nothing like it."""
    x = DATA[0].double()
    network = image_network()
    none = {name: torch.zeros(20, *p.shape, dtype=p.dtype) for name, p in network.named_parameters()}
    assert (network(x) - x).abs().mean() > 0.1
    assert torch.equal(corrupted(network, x, none), x)


def test_all_images_at_once_are_one_after_the_other():
    """Oracle: a loop over images, with weights put together by hand."""
    x = DATA[0][:5].double()
    network = image_network()
    draws = generator(4)
    offset = {
        name: 0.1 * torch.randn(5, *p.shape, generator=draws, dtype=p.dtype)
        for name, p in network.named_parameters()
    }
    got = corrupted(network, x, offset)
    for row in range(5):
        moved = {name: p + offset[name][row] for name, p in network.named_parameters()}
        made = functional_call(network, moved, x[row : row + 1])
        want = (x[row : row + 1] + made - network(x[row : row + 1])).clamp(0, 1)
        torch.testing.assert_close(got[row : row + 1], want)


def test_worst_weights_of_a_linear_network_and_a_linear_loss():
    """Oracle: δ = ν‖W‖ v xᵀ/‖v xᵀ‖ for the loss v·z, since v·(W + δ)x is linear in δ; its value too."""
    x = 0.5 + 0.01 * torch.rand(6, 1, 3, 3, generator=generator(), dtype=torch.float64)
    network = LinearImages(9)
    v = torch.randn(9, generator=generator(5), dtype=torch.float64)
    radius = 0.02  # so that no pixel is cut off
    offset = worst_offset(network, x, lambda z: (z.flatten(1) @ v).sum(), radius, 60, 1.0, generator(6))
    outer = torch.einsum("i,nj->nij", v, x.flatten(1))
    bound = radius * network.weight.detach().norm()
    want = bound * outer / outer.flatten(1).norm(dim=1)[:, None, None]
    torch.testing.assert_close(offset["weight"], want, atol=1e-9, rtol=0)
    gain = ((corrupted(network, x, offset) - x).flatten(1) @ v).detach()
    torch.testing.assert_close(gain, bound * v.norm() * x.flatten(1).norm(dim=1))


@pytest.mark.parametrize("steps", [0, 1, 5])
def test_offsets_stay_in_their_balls(steps):
    """Oracle: norms of each tensor and image; a random offset lies on the edge."""
    network, x = image_network(), DATA[0].double()
    target = torch.rand(x.shape, generator=generator(1), dtype=x.dtype)
    offset = worst_offset(network, x, lambda z: (z - target).square().sum(), 0.3, steps, 0.7, generator())
    for name, p in network.named_parameters():
        share = offset[name].flatten(1).norm(dim=1) / p.detach().norm()
        assert share.max() <= 0.3 * (1 + 1e-6), name
        if steps == 0:
            torch.testing.assert_close(share, torch.full_like(share, 0.3))


def test_more_steps_raise_the_mean_loss():
    """Oracle: the loss on a fixed classifier after 0, 1, 3 and 8 steps from the same start."""
    network, model = image_network(), net().double().eval()
    x, y = DATA[0].double(), DATA[1]

    def loss(z):
        return functional.cross_entropy(model(z), y, reduction="sum")

    losses = []
    for steps in (0, 1, 3, 8):
        offset = worst_offset(network, x, loss, 0.3, steps, 0.5, generator(7))
        losses.append(loss(corrupted(network, x, offset)).item())
    assert losses == sorted(losses)
    assert losses[-1] > loss(x).item()


def test_similarity_by_closed_forms_and_by_a_loop():
    """Oracle: 1 of an image and itself; (2ab + C₁)/(a² + b² + C₁) of two flat ones; windows one by one."""
    a, b = torch.rand(2, 3, 2, 9, 10, generator=generator(), dtype=torch.float64)
    torch.testing.assert_close(structural_similarity(a, a), torch.ones(3, dtype=torch.float64))
    flat = [torch.full((1, 1, 8, 8), level, dtype=torch.float64) for level in (0.2, 0.7)]
    want = (2 * 0.14 + 1e-4) / (0.04 + 0.49 + 1e-4)
    assert structural_similarity(*flat).item() == pytest.approx(want, rel=1e-9)
    c1, c2 = 0.01**2, 0.03**2
    for image in range(3):
        found = []
        for channel in range(2):
            for row in range(3):
                for column in range(4):
                    p, q = (
                        x[image, channel, row : row + 7, column : column + 7].numpy().ravel() for x in (a, b)
                    )
                    (vp, both), (_, vq) = np.cov(p, q)
                    found.append(
                        (2 * p.mean() * q.mean() + c1)
                        * (2 * both + c2)
                        / ((p.mean() ** 2 + q.mean() ** 2 + c1) * (vp + vq + c2))
                    )
        assert structural_similarity(a, b)[image].item() == pytest.approx(np.mean(found), rel=1e-9)
    with pytest.raises(InputError, match="similarity needs 7 × 7 pixels"):
        structural_similarity(a[..., :6, :], b[..., :6, :])


def test_images_too_unlike_are_moved_back_and_others_left():
    """Oracle: the bound itself; the part of the way is a power of four fifths, the largest that is enough."""
    x = torch.rand(6, 1, 8, 8, generator=generator(), dtype=torch.float64)
    changed = torch.where(torch.arange(6).view(-1, 1, 1, 1) < 3, 1 - x, (x + 0.001).clamp(max=1))
    got = similar(x, changed, 0.3)
    assert (structural_similarity(x, got) >= 0.3).all()
    torch.testing.assert_close(got[3:], changed[3:])
    for row in range(3):
        part = ((got - x) / (changed - x))[row].mean().item()
        power = np.log(part) / np.log(0.8)
        assert power == pytest.approx(round(power), abs=1e-9) and power > 0.5
        before = x[row : row + 1] + part / 0.8 * (changed - x)[row : row + 1]
        assert structural_similarity(x[row : row + 1], before) < 0.3


def test_value_and_statistics():
    """Oracle: the cross-entropy of the changed images; buffers bit for bit, unless it is told otherwise."""
    batch = Batch(*DATA, torch.arange(20), 0.25)
    for update in (False, True):
        objective = AdversarialAugmentation(0.1, update_statistics=update, **SMALL)
        model, other = net().train(), net().train()
        before = [b.clone() for b in model.buffers()]
        objective.begin(model, DATA, generator())
        loss = objective(model, batch, generator(5))
        changed = objective.changed(other, *DATA, generator(5))
        torch.testing.assert_close(loss, functional.cross_entropy(other(changed), DATA[1]))
        same = all(map(torch.equal, before, model.buffers()))
        assert same == (not update)
        assert changed.min() >= 0 and changed.max() <= 1
        weights = [p.grad for p in objective._network[0].parameters()]
        assert weights == [None] * len(weights)


def test_the_radius_grows_over_the_ramp():
    """Oracle: no change at the start; half of the radius after half of the ramp; all of it afterwards."""
    model = net().eval()
    given = {"steps": 0, "width": 3, "fitting": 1, "similarity": -1.0}
    ramped = AdversarialAugmentation(0.2, ramp=0.5, **given)
    losses = {}
    for progress, radius in ((0.0, 0.0), (0.25, 0.1), (0.5, 0.2), (0.9, 0.2)):
        plain = AdversarialAugmentation(radius, **given)
        for objective in (ramped, plain):
            objective.begin(model, DATA, generator())
        batch = Batch(*DATA, torch.arange(20), progress)
        got, want = (o(model, batch, generator(3)).item() for o in (ramped, plain))
        assert got == pytest.approx(want, rel=1e-6)
        losses[progress] = got
    assert losses[0.0] == pytest.approx(functional.cross_entropy(model(DATA[0]), DATA[1]).item(), rel=1e-6)
    assert losses[0.5] == losses[0.9] != losses[0.25]


def test_pixels_are_those_before_the_normalisation():
    """Oracle: the same images on two scales, changed alike."""
    mean, std = 0.3, 0.2

    class Scaled(nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, x):
            return self.model(x * std + mean)

    model = net().double().eval()
    x, y = DATA[0].double(), DATA[1]
    plain = AdversarialAugmentation(0.2, **SMALL)
    scaled = AdversarialAugmentation(0.2, mean=(mean,), std=(std,), **SMALL)
    for objective in (plain, scaled):
        objective._network[:] = [image_network()]
    want = plain.changed(model, x, y, generator(1))
    got = scaled.changed(Scaled(model), (x - mean) / std, y, generator(1))
    torch.testing.assert_close(got * std + mean, want)


def test_killed_inside_a_step_it_goes_on_with_the_same_bits(tmp_path):
    """Oracle: the training that was not killed, byte for byte; the weights load into the plain builder."""
    objective = 0.5 * CrossEntropy() + 0.5 * AdversarialAugmentation(0.1, ramp=0.5, **SMALL)

    def training(path, kill_after=None):
        model, left = net(), None if kill_after is None else iter(range(kill_after))

        def count(module, inputs):
            if left is not None and module.training and next(left, None) is None:
                raise Killed

        model.register_forward_pre_hook(count)
        train(model, DATA, DATA, path=path, objective=objective, epochs=2, batch_size=10)
        return model

    model = training(tmp_path / "whole.safetensors")
    killed = tmp_path / "killed.safetensors"
    for passes in (13, 3):
        with pytest.raises(Killed):
            training(killed, passes)
    training(killed)
    assert killed.read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    assert model.state_dict().keys() == net().state_dict().keys()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"radius": -0.1}, "radius must be at least 0"),
        ({"steps": -1}, "steps must be at least 0"),
        ({"width": 0}, "width must be at least 1"),
        ({"similarity": 1.1}, "similarity and ramp are at most 1"),
        ({"std": (0.0,)}, "std positive ones"),
    ],
)
def test_bad_settings_are_named(options, message):
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match=message):
        AdversarialAugmentation(**options)


def test_inputs_that_are_no_images_and_mixed_ones_are_refused():
    """Oracle: the sentence the user must see."""
    objective = AdversarialAugmentation(**SMALL)
    with pytest.raises(InputError, match="7 × 7 pixels or more are needed"):
        objective.begin(net(), (torch.zeros(4, 1, 6, 6), torch.zeros(4)), generator())
    with pytest.raises(InputError, match="no loss of mixed examples"):
        objective(net(), Batch(*DATA, torch.arange(20), 0.0, 0.5), generator())


def test_doubles_are_taken_and_begin_comes_first():
    """Oracle: the types of the images that come back."""
    ada = AdversarialAugmentation(fitting=1, steps=1)
    x, y = torch.rand(4, 1, 8, 8).double(), torch.arange(4) % 3
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3)).double()
    with pytest.raises(InputError, match="call begin"):
        ada.changed(model, x, y, generator())
    ada.begin(model, (x, y), generator())
    assert ada.changed(model, x, y, generator()).dtype == torch.float64
