import hashlib
import json
import math
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from landscape.errors import InputError
from landscape.reference.models import resnet
from landscape.reference.training.checkpoints import load_weights, read_notes
from landscape.reference.training.loop import train
from landscape.reference.training.objective import Batch, CrossEntropy, Objective, frozen_statistics

SETTINGS = {"epochs": 3, "batch_size": 7, "lr": 0.01, "weight_decay": 0.01}


class Killed(BaseException):
    """Stands for a process that ends: nothing catches it."""


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(count=24, seed=0):
    return (
        torch.randn(count, 1, 8, 8, generator=generator(seed)),
        torch.randint(0, 3, (count,), generator=generator(seed + 50)),
    )


DATA, TEST = images(), images(10, seed=1)


def net():
    torch.manual_seed(3)
    return resnet(width=2, blocks=(1, 1), classes=3, dropout=0.2)


def same(a, b):
    return all(torch.equal(value, b.state_dict()[name]) for name, value in a.state_dict().items())


def a_batch(inputs=DATA[0][:6], targets=DATA[1][:6], share=1.0):
    return Batch(inputs, targets, torch.arange(len(targets)), 0.0, share)


@dataclass(frozen=True)
class Pull(Objective):
    """Mean squared logit times a strength that grows by the epoch, and a random number of each step."""

    strength: float = 0.1
    memory: dict = field(default_factory=dict, init=False, compare=False)

    def __call__(self, model, batch, generator):
        draw = torch.rand((), generator=generator)
        return self.memory["strength"] * draw * batch.outputs(model).square().mean()

    def begin(self, model, data, generator):
        self.memory["strength"] = self.strength + torch.rand((), generator=generator).item()

    def epoch(self, model, number, generator):
        self.memory["strength"] *= 1 + torch.rand((), generator=generator).item()

    def state_dict(self):
        return dict(self.memory)

    def load_state_dict(self, state):
        self.memory.update(state)


@dataclass(frozen=True)
class Watch(Objective):
    """Cross-entropy that writes down what is called and what it is shown."""

    seen: list = field(default_factory=list, init=False, compare=False)

    def __call__(self, model, batch, generator):
        self.seen.append((batch.rows.tolist(), batch.progress, model.training))
        return CrossEntropy()(model, batch, generator)

    def begin(self, model, data, generator):
        self.seen.append(f"begin with {len(data[1])}")

    def epoch(self, model, number, generator):
        self.seen.append(f"epoch {number}")

    def end(self, model, data):
        self.seen.append(f"end with {len(data[1])}")
        with torch.no_grad():
            model.head.bias.fill_(0.25)


def test_default_training_is_a_loop_written_by_hand(tmp_path):
    """Oracle: torch's own loss, optimiser and cosine in a plain loop, bit for bit; no objective in sight."""
    model, by_hand = net(), net()
    train(model, DATA, TEST, path=tmp_path / "a.safetensors", seed=5, **SETTINGS)
    optimizer = torch.optim.AdamW(by_hand.parameters(), lr=0.01, weight_decay=0.01, fused=True)
    inputs, labels = DATA
    step = 0
    for epoch in range(3):
        by_hand.train()
        seed = int(np.random.SeedSequence((5, epoch)).generate_state(1)[0])
        torch.manual_seed(seed)
        order = torch.randperm(24, generator=generator(seed))
        for rows in order.split(7):  # four steps an epoch
            optimizer.param_groups[0]["lr"] = 0.01 * 0.5 * (1 + math.cos(math.pi * step / 12))
            optimizer.zero_grad()
            functional.cross_entropy(by_hand(inputs[rows]), labels[rows]).backward()
            optimizer.step()
            step += 1
    assert same(model, by_hand)


def test_cross_entropy_given_or_not_is_one_training(tmp_path):
    """Oracle: the bytes of the files, identity included; smoothing by keyword or in the objective."""
    hashes = []
    for number, options in enumerate(
        ({}, {"objective": CrossEntropy()}, {"label_smoothing": 0.1}, {"objective": CrossEntropy(0.1)})
    ):
        path = tmp_path / f"{number}.safetensors"
        train(net(), DATA, TEST, path=path, **SETTINGS, **options)
        hashes.append(hashlib.sha256(path.read_bytes()).hexdigest())
    assert hashes[0] == hashes[1]
    assert hashes[2] == hashes[3]
    assert hashes[0] != hashes[2]


def test_timms_smoothed_mixed_target_for_two_classes_by_hand():
    """Oracle: timm's target for K = 2, s = 0.2, λ = 0.75, labels (0, 1): (0.7, 0.3) and (0.3, 0.7)."""
    logits = torch.tensor([[1.0, -1.0], [0.5, 2.0]], dtype=torch.float64)
    target = torch.tensor([[0.7, 0.3], [0.3, 0.7]], dtype=torch.float64)
    by_hand = -(target * logits.log_softmax(1)).sum(1).mean()
    batch = Batch(logits, torch.tensor([0, 1]), torch.arange(2), 0.0, share=0.75)
    torch.testing.assert_close(CrossEntropy(0.2)(nn.Identity(), batch, generator()), by_hand)


def test_sums_and_multiples_of_objectives():
    """Oracle: numbers added and multiplied; the model is passed through once for all terms."""
    passes = []
    model = net().eval()
    model.register_forward_hook(lambda *_: passes.append(1))
    one = CrossEntropy()(model, a_batch(), generator())
    smoothed = CrossEntropy(0.3)(model, a_batch(), generator())
    passes.clear()
    objective = CrossEntropy() + 2 * CrossEntropy(0.3) + CrossEntropy() * 0.5
    torch.testing.assert_close(objective(model, a_batch(), generator()), 1.5 * one + 2 * smoothed)
    assert len(passes) == 1
    with pytest.raises(TypeError):
        CrossEntropy() + 1
    with pytest.raises(TypeError):
        CrossEntropy() * "a"


def test_what_is_minimised_stands_in_the_settings(tmp_path):
    """Oracle: the description written out by hand, in the file's own metadata."""
    objective = CrossEntropy() + 2.0 * CrossEntropy(0.3)
    train(net(), DATA, TEST, path=tmp_path / "a.safetensors", objective=objective, **SETTINGS)
    settings = read_notes(tmp_path / "a.safetensors")["identity"]["settings"]
    home = "landscape.reference.training"
    terms = [
        {"class": f"{home}:CrossEntropy", "label_smoothing": 0.0},
        {
            "class": f"{home}:Scaled",
            "factor": 2.0,
            "objective": {"class": f"{home}:CrossEntropy", "label_smoothing": 0.3},
        },
    ]
    assert settings["objective"] == {"class": f"{home}:Sum", "terms": terms}
    assert json.loads(json.dumps(settings)) == settings


@pytest.mark.parametrize("combined", [False, True])
def test_an_objective_with_a_memory_goes_on_after_a_kill(tmp_path, combined):
    """Oracle: the same training without interruption; a fresh objective takes over each time."""

    def objective():
        return CrossEntropy() + 0.5 * Pull() if combined else Pull()

    whole = net()
    train(whole, DATA, TEST, path=tmp_path / "whole.safetensors", objective=objective(), **SETTINGS)
    path = tmp_path / "killed.safetensors"
    for instant in (6, 2, 5):  # forward passes until the next kill; an epoch has four, with the test five
        model, left = net(), iter(range(instant))

        def kill(*_, left=left):
            if next(left, None) is None:
                raise Killed

        model.register_forward_pre_hook(kill)
        torch.manual_seed(instant)
        with pytest.raises(Killed):
            train(model, DATA, TEST, path=path, objective=objective(), **SETTINGS)
    model = net()
    train(model, DATA, TEST, path=path, objective=objective(), **SETTINGS)
    assert same(model, whole)
    assert path.read_bytes() == (tmp_path / "whole.safetensors").read_bytes()


def test_another_setting_of_the_objective_is_another_training(tmp_path):
    """Oracle: the changed training in an empty place."""
    path = tmp_path / "a.safetensors"
    train(net(), DATA, TEST, path=path, objective=CrossEntropy() + Pull(0.1), **SETTINGS)
    model, clean = net(), net()
    train(model, DATA, TEST, path=path, objective=CrossEntropy() + Pull(0.2), **SETTINGS)
    train(
        clean, DATA, TEST, path=tmp_path / "b.safetensors", objective=CrossEntropy() + Pull(0.2), **SETTINGS
    )
    assert same(model, clean)


def test_hooks_are_called_in_order_and_end_is_saved(tmp_path):
    """Oracle: the order by hand: 20 examples in batches of 12 and 8, two epochs, a bias set at the end."""
    watch = Watch()
    model = net()
    train(
        model,
        DATA,
        TEST,
        path=tmp_path / "a.safetensors",
        objective=2.0 * watch,
        epochs=2,
        batch_size=12,
        data_fraction=20 / 24,
    )
    steps = [entry for entry in watch.seen if isinstance(entry, tuple)]
    words = [entry if isinstance(entry, str) else "step" for entry in watch.seen]
    assert words == [
        "begin with 20",
        *("epoch 0", "step", "step"),
        *("epoch 1", "step", "step"),
        "end with 20",
    ]
    assert [progress for _, progress, _ in steps] == [0.0, 0.25, 0.5, 0.75]
    assert all(training for _, _, training in steps)
    for first, second in (steps[:2], steps[2:]):
        assert sorted(first[0] + second[0]) == list(range(20))
    saved = net()
    load_weights(saved, tmp_path / "a.safetensors")
    assert saved.head.bias.tolist() == [0.25] * 3


def test_frozen_statistics_are_left_alone_and_batches_still_normalised():
    """Oracle: the buffers before, bit for bit, and the output of an ordinary pass in training mode."""
    model, other = (resnet(width=2, blocks=(1, 1), classes=3).train() for _ in range(2))
    other.load_state_dict(model.state_dict())
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with frozen_statistics(model):
        frozen = model(DATA[0])
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())
    assert torch.equal(frozen, other(DATA[0]))
    with pytest.raises(Killed), frozen_statistics(model):
        raise Killed
    model(DATA[0])
    assert all(
        torch.equal(buffer, dict(other.named_buffers())[name]) for name, buffer in model.named_buffers()
    )
    assert not torch.equal(model.stem.norm.running_mean, before["stem.norm.running_mean"])


class NoDataclass(Objective):
    def __call__(self, model, batch, generator):
        return batch.outputs(model).sum()


@dataclass(frozen=True)
class Opaque(NoDataclass):
    thing: object = nn.ReLU


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": functional.cross_entropy}, "objective is an Objective, such as CrossEntropy"),
        ({"objective": CrossEntropy(0.1), "label_smoothing": 0.1}, "give label_smoothing to the objective"),
        ({"objective": NoDataclass()}, "NoDataclass must be a dataclass"),
        ({"objective": Opaque()}, "the objective must hold only what JSON can hold"),
        ({"label_smoothing": -0.1}, "label_smoothing is a share below 1, not -0.1"),
    ],
)
def test_unusable_objectives_are_named(tmp_path, options, message):
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match=message):
        train(net(), DATA, TEST, path=tmp_path / "a.safetensors", **SETTINGS, **options)
