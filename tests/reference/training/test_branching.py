"""Children of a training: with the parent's seed its weights to the bit, with another one their own."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from landscape.errors import InputError
from landscape.reference.training import branch, train
from landscape.reference.training import checkpoints as files


def make():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return nn.Sequential(
            nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Dropout(0.2), nn.Flatten(), nn.Linear(108, 3)
        )


def digits(count=24, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.rand(count, 1, 8, 8, generator=g), torch.randint(0, 3, (count,), generator=g)


SETTINGS = {"lr": 0.05, "batch_size": 7, "augment": "shift"}


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_child_with_the_parents_order_is_the_parent(tmp_path, optimizer):
    """Oracle: the parent's file, bit for bit: momentum, Adam's moments, schedule, dropout are inherited."""
    found = branch(
        *(make, digits(), digits(seed=1)),
        path=tmp_path / "net.safetensors",
        epochs=4,
        spawn=(0, 1, 3),
        orders=(0, 5),
        optimizer=optimizer,
        **SETTINGS,
    )
    parent = load_file(found.parent)
    assert found.steps == {0: 0, 1: 4, 3: 12}
    apart = {}
    for epoch, (same, other) in found.children.items():
        child = load_file(same)
        assert all(torch.equal(child[name], tensor) for name, tensor in parent.items())
        others = load_file(other)
        apart[epoch] = sum(float((others[n] - t).double().square().sum()) for n, t in parent.items())
    assert all(apart.values())
    assert [p.name for p in found.children[1]] == ["net-spawn1-o0.safetensors", "net-spawn1-o5.safetensors"]
    # run again, nothing is trained: the files stay as they are
    before = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    branch(
        *(make, digits(), digits(seed=1)),
        path=tmp_path / "net.safetensors",
        epochs=4,
        spawn=(0, 1, 3),
        orders=(0, 5),
        optimizer=optimizer,
        **SETTINGS,
    )
    assert {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == before


def test_a_killed_child_goes_on(tmp_path):
    """Oracle: an undisturbed child; the exception comes after the state of an epoch is saved."""
    kept = {"keep": (1,), "keep_optimizer": True}
    data = digits(), digits(seed=1)
    train(make(), *data, path=tmp_path / "p.safetensors", epochs=4, **kept, **SETTINGS)
    child = {"epochs": 4, "seed": 9, "after": tmp_path / "p-epoch1.pt", **SETTINGS}
    train(make(), *data, path=tmp_path / "whole.safetensors", **child)

    def stop(done, *_):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(make(), *data, path=tmp_path / "cut.safetensors", on_epoch=stop, **child)
    train(make(), *data, path=tmp_path / "cut.safetensors", **child)
    one, two = (load_file(tmp_path / f"{name}.safetensors") for name in ("whole", "cut"))
    assert all(torch.equal(one[n], t) for n, t in two.items())
    notes = [files.read_notes(tmp_path / f"{name}.safetensors")["identity"] for name in ("whole", "p")]
    assert notes[0]["after"] == [notes[1], 1]


def test_what_cannot_be_branched_is_said(tmp_path):
    """Oracle: by hand."""
    data = digits(), digits(seed=1)
    path = tmp_path / "p.safetensors"
    with pytest.raises(InputError, match="part at epochs from 0 to 1"):
        branch(make, *data, path=path, epochs=2, spawn=(2,), **SETTINGS)
    with pytest.raises(InputError, match="at least one seed"):
        branch(make, *data, path=path, epochs=2, spawn=(1,), orders=(), **SETTINGS)
    train(make(), *data, path=path, epochs=2, keep=(1,), keep_optimizer=True, **SETTINGS)
    with pytest.raises(InputError, match="kept its optimiser"):
        train(make(), *data, path=tmp_path / "c.safetensors", epochs=2, after=path, **SETTINGS)
    after = tmp_path / "p-epoch1.pt"
    with pytest.raises(InputError, match="nothing is left"):
        train(make(), *data, path=tmp_path / "c.safetensors", epochs=1, after=after, **SETTINGS)
    with pytest.raises(InputError, match="only that and later"):
        train(make(), *data, path=tmp_path / "c.safetensors", epochs=2, keep=(0,), after=after, **SETTINGS)
