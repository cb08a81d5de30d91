"""Adversarial training: the worst loss of linear models, whose statistics move, and bits that repeat."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from landscape.core.inputs.norms import size
from landscape.errors import InputError
from landscape.reference.models import resnet
from landscape.reference.training import FGSM, PGD, Adversarial, Batch, CrossEntropy, train


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def a_batch(inputs, labels=None, share=1.0):
    labels = torch.arange(len(inputs)) % 2 if labels is None else labels
    return Batch(inputs, labels, torch.arange(len(inputs)), 0.0, share)


def linear():
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2)).double()
    with torch.no_grad():
        model[1].weight.copy_(torch.randn(2, 16, generator=generator(1)))
    return model


def grey(n=10):
    return 0.4 + 0.2 * torch.rand(n, 1, 4, 4, generator=generator(2), dtype=torch.float64)


@pytest.mark.parametrize(
    "attack", [FGSM(0.1, start="zero"), FGSM(0.1, step=3.0), PGD(0.1), PGD(0.1, start="zero")]
)
def test_loss_of_two_linear_classes_is_the_worst_of_the_ball(attack):
    """Oracle: softplus(−m + ε‖w₀ − w₁‖₁/s), inputs of scale s; the perturbation is a constant."""
    model, pixels = linear(), grey()
    batch = a_batch((pixels - 0.5) / 0.25)
    loss = Adversarial(attack, (0.5,), (0.25,))(model, batch, generator())
    z = model(batch.inputs)
    rows, y = torch.arange(10), batch.targets
    reach = (model[1].weight[0] - model[1].weight[1]).detach().abs().sum() / 0.25
    want = functional.softplus(-(z[rows, y] - z[rows, 1 - y]) + 0.1 * reach).mean()
    torch.testing.assert_close(loss, want, rtol=1e-12, atol=0)
    step = (2 * y - 1).view(-1, 1, 1, 1) * (model[1].weight[0] - model[1].weight[1]).detach().sign().view(
        1, 1, 4, 4
    )
    moved = functional.cross_entropy(model(batch.inputs + 0.1 / 0.25 * step), y)
    for got, by_hand in zip(
        torch.autograd.grad(loss, list(model.parameters())),
        torch.autograd.grad(moved, list(model.parameters())),
        strict=True,
    ):
        torch.testing.assert_close(got, by_hand)


class Recorder(nn.Module):
    """A network that keeps what it is shown."""

    def __init__(self):
        super().__init__()
        self.seen, self.net = [], resnet(width=2, blocks=(1,), classes=3)

    def forward(self, x):
        self.seen.append(x.detach().clone())
        return self.net(x)


@pytest.mark.parametrize(
    ("attack", "passes"), [(FGSM(0.2), 2), (PGD(0.2, 3, "l2"), 4), (PGD(0.2, 2, step=0.1), 3)]
)
def test_changed_images_stay_in_the_ball_and_in_range(attack, passes):
    """Oracle: the threat, and the published number of passes."""
    model = Recorder().train()
    pixels = torch.rand(8, 1, 8, 8, generator=generator())
    Adversarial(attack, (0.1,), (0.3,))(model, a_batch((pixels - 0.1) / 0.3), generator())
    assert len(model.seen) == passes
    for shown in model.seen:
        changed = shown * 0.3 + 0.1
        assert changed.min() > -1e-6 and changed.max() < 1 + 1e-6
        assert size(changed - pixels, attack.norm).max() < 0.2 + 1e-6
    assert not torch.equal(model.seen[0], model.seen[-1])


def test_running_statistics_move_by_the_last_pass_alone():
    """Oracle: the buffers after that one pass, bit for bit; or none."""
    torch.manual_seed(0)
    models = [Recorder().train() for _ in range(3)]
    for model in models[1:]:
        model.load_state_dict(models[0].state_dict())
    batch = a_batch(torch.rand(8, 1, 8, 8, generator=generator()))
    Adversarial(PGD(0.1, 2))(models[0], batch, generator())
    models[1](models[0].seen[-1])
    before = {k: v.clone() for k, v in models[2].named_buffers()}
    Adversarial(PGD(0.1, 2), update_statistics=False)(models[2], batch, generator())
    got, want, left = (dict(model.named_buffers()) for model in models)
    assert all(torch.equal(got[k], v) for k, v in want.items())
    assert all(torch.equal(left[k], v) for k, v in before.items())
    assert not torch.equal(got["net.stem.norm.running_mean"], before["net.stem.norm.running_mean"])


def test_no_radius_is_cross_entropy_also_of_mixed_examples():
    """Oracle: `CrossEntropy` on the same batch."""
    model, pixels = linear(), grey()
    batch = a_batch(pixels, share=0.3)
    loss = Adversarial(FGSM(0.0))(model, batch, generator())
    torch.testing.assert_close(loss, CrossEntropy()(model, batch, generator()))


def test_a_killed_training_goes_on_with_the_same_bits(tmp_path):
    """Oracle: a training that was not killed; one with another attack is another."""

    class Killed(BaseException):
        pass

    data = torch.rand(24, 1, 8, 8, generator=generator()), torch.arange(24) % 3

    def run(name, attack=None, killed=False):
        torch.manual_seed(3)
        model = resnet(width=2, blocks=(1, 1), classes=3)
        objective = 0.5 * CrossEntropy() + 0.5 * Adversarial(attack or PGD(0.1, 2), update_statistics=False)

        def stop(done, *_):
            if killed and done == 2:
                raise Killed

        train(
            model,
            data,
            data,
            path=tmp_path / name,
            epochs=3,
            batch_size=7,
            objective=objective,
            on_epoch=stop,
        )
        return [value.clone() for value in model.state_dict().values()]

    whole = run("a.safetensors")
    with pytest.raises(Killed):
        run("b.safetensors", killed=True)
    assert all(map(torch.equal, whole, run("b.safetensors")))
    other = run("b.safetensors", FGSM(0.1))
    assert not all(map(torch.equal, whole, other))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FGSM(-0.1), "FGSM: radius must be at least 0"),
        (lambda: FGSM(0.1, step=0.0), "FGSM: step must be above 0"),
        (lambda: PGD(0.1, steps=0), "PGD: steps must be above 0"),
        (lambda: PGD(0.1, norm="l1"), "PGD has no norm 'l1'"),
        (lambda: FGSM(0.1, start="random"), "FGSM has no start 'random'"),
        (lambda: Adversarial("fgsm"), "attack is FGSM"),
        (lambda: Adversarial(FGSM(0.1), (0.0,), (0.0,)), "std holds positive numbers"),
        (lambda: Adversarial(FGSM(0.1), (0.0, 0.0), (1.0,)), "got 2 and 1"),
        (lambda: Adversarial(FGSM(0.1))(linear(), a_batch(torch.rand(4, 16)), generator()), "images"),
    ],
)
def test_bad_settings_are_named(make, message):
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match=message):
        make()
