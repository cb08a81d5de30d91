"""Probe: results of a training in its course, and the training as if nobody had looked."""

from __future__ import annotations

import random
import time
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import landscape
from landscape.callbacks import Probe
from landscape.errors import InputError
from landscape.store import read_contents

CHEAP = {"trace": {"rel_se": 0.5, "max_products": 16}}


def data(count=24):
    g = torch.Generator().manual_seed(5)
    x = torch.randn(count, 1, 6, 6, generator=g)
    return x, (x.mean((1, 2, 3)) > 0).long()


def net():
    """Layers that keep statistics, draw random numbers, or are frozen."""
    torch.manual_seed(3)
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3), nn.Linear(48, 2)
    )
    model[0].bias.requires_grad_(False)
    return model


def whole_state(model):
    """Everything of a training that a look at it might change."""
    return {
        "tensors": [t.clone() for t in (*model.parameters(), *model.buffers())],
        "gradients": [None if p.grad is None else p.grad.clone() for p in model.parameters()],
        "versions": [t._version for t in (*model.parameters(), *model.buffers())],
        "modes": [m.training for m in model.modules()],
        "trainable": [p.requires_grad for p in model.parameters()],
        "torch": torch.get_rng_state(),
        "numpy": np.random.get_state()[1].tolist(),  # noqa: NPY002
        "python": random.getstate(),
        "hooks": [list(m._forward_hooks.values()) for m in model.modules()],
        "autocast": torch.is_autocast_enabled("cpu"),
        "grad": torch.is_grad_enabled(),
    }


def equal(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b


def train(probe=None, epochs=2):
    """A training that draws from all generators; the probe is called while there are gradients."""
    model, (x, y) = net(), data()
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    for epoch in range(epochs):
        model.train()
        model[5].eval()  # a mode of its own
        for part in torch.randperm(24).split(8):
            scale = 1 + 0.1 * random.random() + 0.1 * np.random.rand()  # noqa: NPY002
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = scale * nn.functional.cross_entropy(model(x[part]).float(), y[part])
                loss.backward()
                if probe is not None:
                    probe(model, epoch=epoch + 1)
            optimizer.step()
            optimizer.zero_grad()
    return model


def test_a_training_is_the_same_to_the_bit_with_and_without(tmp_path):
    """Oracle: the same training without a probe; and all that could differ, before and after one look."""
    alone = train()
    probe = Probe(tmp_path / "s", "cross_entropy", data(), analyses=CHEAP, examples=16)
    watched = train(probe)
    assert probe.points == 6 and not probe.failures
    assert equal(whole_state(alone)["tensors"], whole_state(watched)["tensors"])
    seen: list[int] = []
    watched[1].register_forward_hook(lambda *_: seen.append(1))
    nn.functional.cross_entropy(watched(data()[0]), data()[1]).backward()
    seen.clear()
    before = whole_state(watched)
    probe.measure(watched, "epoch", 9)
    after = whole_state(watched)
    assert all(equal(before[name], after[name]) for name in before)
    assert seen == []  # not even the copy's passes are seen


def test_reading_the_data_leaves_the_training_its_random_numbers(tmp_path):
    """Oracle: the order in which a loader gives its examples if nobody has read it before."""
    x, y = data()

    def loader(generator):
        return torch.utils.data.DataLoader(
            torch.utils.data.TensorDataset(x, y), batch_size=4, shuffle=True, generator=generator
        )

    for generator in (None, torch.Generator().manual_seed(2)):
        torch.manual_seed(7)
        fresh = loader(None if generator is None else torch.Generator().manual_seed(2))
        expected = [b[0] for b in fresh]
        torch.manual_seed(7)
        given = loader(generator)
        Probe(tmp_path / "s", "cross_entropy", given, analyses=CHEAP, examples=8)
        assert equal(expected, [b[0] for b in given])


def test_numbers_are_those_of_the_model_at_that_moment(tmp_path):
    """Oracle: the same analysis, called by hand on the state that the training had."""
    x, y = data()
    model = net()
    model(x)  # statistics
    with Probe(
        tmp_path / "s",
        "cross_entropy",
        (x, y),
        analyses=CHEAP,
        examples=24,
        name="run",
        seed=4,
        tags={"lr": 0.1},
    ) as probe:
        for epoch in range(3):
            assert probe(model, epoch=epoch, metrics={"val_loss": 2.0 - epoch})
            by_hand = landscape.trace(landscape.Problem(model, "cross_entropy", (x, y)), **CHEAP["trace"])
            (section,) = read_contents(tmp_path / "s").sections
            assert float(section.results[f"run-epoch-{epoch}"]["trace"]) == float(by_hand["trace"])
            with torch.no_grad():
                model[5].weight.mul_(0.5)
    table = landscape.table(tmp_path / "s")
    assert list(table["model", "epoch"]) == [0, 1, 2]
    assert list(table["model", "seed"]) == [4, 4, 4]
    assert list(table["training", "val_loss"]) == [2.0, 1.0, 0.0]
    assert (tmp_path / "s" / "zoo.h5").is_file()
    page = landscape.report(tmp_path / "s").read_text()
    assert "over_training" in page or "over training" in page


def test_every_and_what_it_costs(tmp_path):
    """Oracle: a clock around the calls; the probe says no more than it, and nearly as much."""
    probe = Probe(tmp_path / "s", "cross_entropy", data(), analyses=CHEAP, every=3, examples=8)
    model, start, spent = net().eval(), time.perf_counter(), 0.0
    assert np.isnan(probe.share)
    for step in range(7):
        began = time.perf_counter()
        assert probe(model, step=step) == (step in (0, 3, 6))
        spent += time.perf_counter() - began
    assert probe.points == 3
    assert 0.9 * spent < probe.seconds <= spent
    assert probe.seconds / (time.perf_counter() - start) < probe.share * 1.1 <= 1.1
    assert "3 moments" in str(probe) and "%" in repr(probe)


def test_what_fails_is_remembered_and_the_training_goes_on(tmp_path):
    model = net().eval()
    analyses = {"trace": CHEAP["trace"], "heads": {"analysis": "attention_response"}}  # there are none
    probe = Probe(tmp_path / "s", "cross_entropy", data(), analyses=analyses)
    with pytest.warns(UserWarning, match="training goes on: "):
        probe(model, epoch=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        probe(model, epoch=1)  # told once
        with torch.no_grad():
            model[5].weight.fill_(float("nan"))
        probe(model, epoch=2)  # a warning that is an error
        probe("no model", epoch=3)
    assert [at for at, _ in probe.failures] == [
        *("training-epoch-0", "training-epoch-1"),
        *("training-epoch-2", "training-epoch-2"),
        "training-epoch-3",
    ]
    contents = read_contents(tmp_path / "s")
    assert len(contents.sections[0].results) == 2
    assert len(contents.failures) == 4
    assert "NaN" in contents.failures[-1].error
    landscape.report(tmp_path / "s")


def test_trainings_share_a_store_and_a_training_done_again_takes_its_own_place(tmp_path):
    def moments():
        return [m.name for m in read_contents(tmp_path / "s").models]

    def probe(name, **more):
        return Probe(tmp_path / "s", "cross_entropy", data(), analyses=CHEAP, name=name, examples=8, **more)

    model = net().eval()
    for name in ("a", "b"):
        first = probe(name, group="g")
        for step in (0, 5, 10):
            first(model, step=step)
    assert moments() == [f"{n}-step-{s}" for n in "ab" for s in (0, 5, 10)]
    resumed = probe("a", group="g")  # from the checkpoint of step 5
    resumed(model, step=5)
    resumed(model, step=7)
    assert moments() == ["a-step-0", *(f"b-step-{s}" for s in (0, 5, 10)), "a-step-5", "a-step-7"]
    with pytest.raises(InputError, match="holds 'trace' with other options"):
        Probe(tmp_path / "s", "cross_entropy", data(), analyses={"trace": {"rel_se": 0.4}})


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"every": 0}, "every must be a whole number from 1; got 0"),
        ({"analyses": ["traces"]}, "did you mean 'trace'"),
        ({"analyses": ["cka"]}, "'cka' looks at several models, and a probe has the one that is trained"),
        ({"analyses": []}, "a probe needs an analysis"),
        ({"tags": {"epoch": 1}}, "the tag 'epoch' is the probe's own"),
    ],
)
def test_what_cannot_be_is_said_before_the_training(tmp_path, given, sentence):
    with pytest.raises(InputError, match=sentence):
        Probe(tmp_path / "s", "cross_entropy", data(), **given)


def test_a_call_says_how_far_the_training_is(tmp_path):
    probe = Probe(tmp_path / "s", "cross_entropy", data(), analyses=CHEAP)
    with pytest.raises(InputError, match="a probe is called with epoch="):
        probe(net(), epoch=1, step=1)
