"""Checkpoints: every form is read, nothing in them is run, and what is wrong is said in a sentence."""

from __future__ import annotations

import argparse
import collections
import datetime
import hashlib
import io
import os
import pathlib
import pickle
import re
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from landscape.errors import CheckpointError
from landscape.zoo.checkpoint import file_sha256, load_checkpoint, load_into, read_checkpoint, strip_prefixes
from landscape.zoo.reading import archive as archives
from landscape.zoo.reading.pickle_globals import unsafe_globals
from landscape.zoo.reading.stubs import attributes


class Malicious:
    """A pickle of this makes a folder when loaded by plain pickle: seen at once if its code ran."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return (os.mkdir, (self.mark,))


@pytest.fixture
def state():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).state_dict()


def same(a, b):
    return list(a) == list(b) and all(torch.equal(a[k], b[k]) for k in a)


def wrapped(state):
    """All forms in which people save a state_dict."""
    parallel = {f"module.{k}": v for k, v in state.items()}
    compiled = {f"_orig_mod.{k}": v for k, v in state.items()}
    both = {f"module._orig_mod.{k}": v for k, v in state.items()}
    parameters = {k: nn.Parameter(v) if v.is_floating_point() else v for k, v in state.items()}
    return {
        "plain": state,
        "dict": dict(state),
        "parallel": parallel,
        "compiled": compiled,
        "both": both,
        "parameters": parameters,
        "nested": {"state_dict": state, "epoch": 3},
        "model_state_dict": {"model_state_dict": parallel, "optimizer": {"lr": 0.1}},
        "model": {"model": both, "args": [1, 2]},
        "twice": {"model": {"state_dict": compiled}},
    }


@pytest.mark.parametrize("form", list(wrapped({})))
@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin"])
def test_every_form_gives_the_plain_state_dict(form, legacy, suffix, state, tmp_path):
    """Oracle: the tensors before saving."""
    path = tmp_path / f"x{suffix}"
    torch.save(wrapped(state)[form], path, _use_new_zipfile_serialization=not legacy)
    assert same(load_checkpoint(path), state)


def test_safetensors(state, tmp_path):
    """Oracle: the tensors before saving (the format keeps no order)."""
    save_file({f"module.{k}": v for k, v in state.items()}, tmp_path / "x.safetensors")
    loaded = load_checkpoint(tmp_path / "x.safetensors")
    assert same({k: loaded[k] for k in state}, state)


def test_a_prefix_that_only_some_keys_have_stays():
    assert list(strip_prefixes({"module.a": 0, "b": 1})) == ["module.a", "b"]
    assert strip_prefixes({}) == {}


def test_a_model_whose_own_part_is_called_module(tmp_path):
    """Oracle: the model's own state, saved from a model of the same class."""
    model = nn.Sequential(collections.OrderedDict(module=nn.Linear(2, 2)))
    other = nn.Sequential(collections.OrderedDict(module=nn.Linear(2, 2)))
    load_into(other, model.state_dict(), "x")
    assert same(other.state_dict(), model.state_dict())


@pytest.mark.parametrize("how", ["zip", "legacy", "pickle2", "pickle4", "pickle5"])
def test_code_in_a_pickle_is_not_run(how, state, tmp_path):
    """Oracle: the folder that its code would make; plain unpickling does make it (checked last)."""
    mark, path = tmp_path / "mark", tmp_path / "evil.pt"
    beside = {"state_dict": state, "x": Malicious(mark)}
    instead = {"state_dict": Malicious(mark)}
    for content in (beside, instead):
        if how in ("zip", "legacy"):
            torch.save(content, path, _use_new_zipfile_serialization=how == "zip")
        else:
            path.write_bytes(pickle.dumps(content, protocol=int(how[-1])))
        if content is beside:
            assert same(load_checkpoint(path), state)
            assert unsafe_globals(path) == [f"{os.mkdir.__module__}.mkdir"]
            continue
        with pytest.raises(
            CheckpointError, match=r"evil\.pt' is refused.* run a program \(posix\.mkdir\)"
        ) as caught:
            load_checkpoint(path)
        assert "allow" not in str(caught.value)
    assert "--trust-pickle" in str(caught.value)
    assert not mark.exists()
    if how == "zip":
        with pytest.raises(CheckpointError):
            load_checkpoint(path, trust_pickle=True)
        assert mark.exists()


def test_what_stands_beside_the_weights_needs_no_leave(state, tmp_path):
    """Oracle: the weights put in, and the two classes beside them, whose names are told."""
    path = tmp_path / "x.pt"
    content = {"state_dict": state, "args": argparse.Namespace(lr=0.5), "t": datetime.timedelta(1)}
    torch.save(content | {"best": np.float64(0.25)}, path)
    assert unsafe_globals(path) == ["argparse.Namespace", "datetime.timedelta"]
    loaded, beside = read_checkpoint(path)
    assert same(loaded, state)
    assert beside["best"] == 0.25
    assert attributes(beside["args"]) == {"lr": 0.5}
    before = set(torch.serialization.get_safe_globals())
    assert same(load_checkpoint(path, allow=["argparse.Namespace"]), state)
    assert set(torch.serialization.get_safe_globals()) == before
    with pytest.raises(CheckpointError, match=r"'no\.such\.Name', allowed .* cannot be imported"):
        load_checkpoint(path, allow=["no.such.Name"])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("broken_names.x", "cannot be imported: .* raised NameError: name 'undefined' is not defined"),
        ("leaving_names.x", "cannot be imported: .* raised SystemExit: bye"),
        ("whole_names.Namespac", "cannot be imported: .* did you mean 'Namespace'"),
        ("Namespace", r"must have the form 'package\.module\.name'"),
        (".Namespace", r"must have the form 'package\.module\.name'"),
    ],
)
def test_an_allowed_name_that_cannot_be_imported_is_one_sentence(name, words, state, tmp_path, monkeypatch):
    """Oracle: the modules' text, and Python's own errors."""
    (tmp_path / "broken_names.py").write_text("undefined\n")
    (tmp_path / "leaving_names.py").write_text("raise SystemExit('bye')\n")
    (tmp_path / "whole_names.py").write_text("class Namespace: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "a.pt"
    torch.save({"model": state, "args": argparse.Namespace(lr=0.1)}, path)
    with pytest.raises(CheckpointError, match=rf"'{re.escape(name)}', allowed for .*, {words}") as caught:
        load_checkpoint(path, allow=[name])
    assert "\n" not in str(caught.value)


def test_a_whole_module_gives_its_weights_without_its_classes(tmp_path):
    """Oracle: ``state_dict`` of the module itself."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.BatchNorm1d(2), nn.ReLU()))
    model[1][0].register_buffer("passing", torch.ones(2), persistent=False)
    torch.save(model, tmp_path / "x.pt")
    torch.save({"model": model, "epoch": 2}, tmp_path / "y.pt")
    for name in ("x.pt", "y.pt"):
        assert same(load_checkpoint(tmp_path / name), model.state_dict())
    assert same(load_checkpoint(tmp_path / "x.pt", trust_pickle=True), model.state_dict())


def saved(content, **options):
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def archive():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("a/b", "c")
    return buffer.getvalue()


GOOD = {"weight": torch.arange(6.0).reshape(2, 3)}
ZIP, LEGACY = saved(GOOD), saved(GOOD, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("empty.pt", b"", r"is empty \(0 bytes\)"),
        ("text.pt", b"hello", "is not a checkpoint"),
        ("zeros.pt", bytes(1000), "is not a checkpoint"),
        ("half.pt", ZIP[: len(ZIP) // 2], "is truncated or damaged"),
        ("start.pt", ZIP[:10], "is truncated or damaged"),
        ("half.pth", LEGACY[: len(LEGACY) // 2], "is truncated or damaged"),
        ("end.pth", LEGACY[:-3], "is truncated or damaged"),
        ("zip.pt", archive(), "is truncated or damaged"),
        ("half.safetensors", b"\x40\0\0\0\0\0\0\0{", "is truncated or damaged"),
        ("text.safetensors", b"hello world, no tensors", "is truncated or damaged"),
        ("tensor.pt", saved(torch.zeros(3)), "holds a Tensor, not a state_dict"),
        ("list.pt", saved([1]), "holds a list, not a state_dict"),
        ("none.pt", saved({"epoch": 1}), r"holds no tensors at its top level .*\(keys: epoch\)"),
        ("void.pt", saved({}), "holds no tensors"),
        ("numbers.pt", saved({0: torch.zeros(1)}), "is not a state_dict: its keys are not all names"),
        ("plain.pt", pickle.dumps({"a": 1}, protocol=2), r"holds no tensors .*\(keys: a\)"),
        (
            "object.pt",
            pickle.dumps({"a": pathlib.PurePosixPath("b")}, protocol=4),
            r"is refused.*allow = \[\"pathlib",
        ),
    ],
)
def test_bad_files_are_named_in_a_sentence(name, data, message, tmp_path):
    """Oracle: each file is bad by construction."""
    (tmp_path / name).write_bytes(data)
    with pytest.raises(CheckpointError, match=rf"{re.escape(name)}' {message}") as caught:
        load_checkpoint(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_flipped_bits_are_noticed(tmp_path):
    """Oracle: bytes within the pickle overwritten."""
    data = bytearray(ZIP)
    place = data.index(b"weight")
    data[place - 8 : place + 8] = b"\xff" * 16
    (tmp_path / "x.pt").write_bytes(data)
    with pytest.raises(CheckpointError, match=r"x\.pt' is truncated or damaged"):
        load_checkpoint(tmp_path / "x.pt")


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(CheckpointError, match="does not exist"):
        load_checkpoint(tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="is a folder"):
        load_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match="does not exist"):
        file_sha256(tmp_path / "x.pt")


def test_torchscript_is_explained(tmp_path):
    """Made by hand, since torch now warns when it makes one."""
    with zipfile.ZipFile(tmp_path / "x.pt", "w") as file:
        for entry in ("constants.pkl", "data.pkl", "version"):
            file.writestr(f"x/{entry}", "3\n")
    with pytest.raises(CheckpointError, match=r"TorchScript archive; save the model's state_dict"):
        load_checkpoint(tmp_path / "x.pt")


def test_keys_that_do_not_fit_are_listed():
    """Oracle: counts and names by construction."""
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 3), nn.Linear(3, 1))
    state = model.state_dict()
    state["2.weight"] = torch.zeros(5, 3)
    del state["0.weight"], state["0.bias"], state["1.weight"], state["1.bias"]
    state["extra"] = torch.zeros(1)
    with pytest.raises(CheckpointError) as caught:
        load_into(model, state, "x.pt")
    assert str(caught.value) == (
        "checkpoint 'x.pt' does not fit Sequential: 4 missing (0.weight, 0.bias, 1.weight, ...);"
        " 1 unexpected (extra); 1 mis-shaped (2.weight (5, 3) instead of (1, 3))."
    )


def test_tied_weights_that_a_file_names_once():
    """Oracle: the tie itself: both names are one tensor afterwards."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    state = {k: torch.full_like(v, 7.0) for k, v in model.state_dict().items()}
    del state["1.weight"]
    load_into(model, state, "x")
    assert model[1].weight is model[0].weight
    assert (model[0].weight == 7.0).all()


def test_sha256(tmp_path):
    """Oracle: hashlib on the whole content at once."""
    (tmp_path / "x").write_bytes(ZIP)
    assert file_sha256(tmp_path / "x") == hashlib.sha256(ZIP).hexdigest()


def prefixed(model, prefix, **others):
    return {f"{prefix}{k}": v for k, v in model.state_dict().items()} | others


def test_a_prefix_of_any_name_that_all_keys_have_is_stripped():
    """Oracle: the weights of the model that was saved."""
    for prefix in ("model.", "net.inner.", "module.model."):
        saved_model, other = nn.Linear(2, 3), nn.Linear(2, 3)
        load_into(other, prefixed(saved_model, prefix), "x.ckpt")
        assert same(other.state_dict(), saved_model.state_dict())


def test_a_prefix_that_other_keys_lack_is_named_and_can_be_given():
    """Oracle: the key added here, as a loss with weights adds to a Lightning module."""
    saved_model, other = nn.Linear(2, 3), nn.Linear(2, 3)
    state = prefixed(saved_model, "model.", **{"criterion.weight": torch.zeros(3)})
    with pytest.raises(CheckpointError) as caught:
        load_into(other, state, "x.ckpt")
    assert str(caught.value).endswith(
        "2 missing (weight, bias); 3 unexpected (model.weight, model.bias, criterion.weight);"
        " 2 of 2 keys are there with 'model.' before them: if they are the model's, set"
        ' prefix = "model." in its [[checkpoints]], or for all under [problem].'
    )
    load_into(other, state, "x.ckpt", prefix="model.")
    assert same(other.state_dict(), saved_model.state_dict())
    with pytest.raises(CheckpointError, match=r"no keys that begin with 'ema\.'"):
        load_into(other, state, "x.ckpt", prefix="ema.")


def test_a_model_with_a_part_more_than_the_file():
    wrapped_model = nn.Sequential(collections.OrderedDict(backbone=nn.Linear(2, 3)))
    with pytest.raises(CheckpointError, match=r"2 keys of the model are there without 'backbone\.'"):
        load_into(wrapped_model, nn.Linear(2, 3).state_dict(), "x.pt")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "cannot be loaded: there is not enough memory"),
        (
            RuntimeError("DefaultCPUAllocator: not enough memory: you tried"),
            "cannot be loaded: there is not enough memory",
        ),
        (AttributeError("no attribute 'Config'"), "is whole, but cannot be loaded here: AttributeError"),
        (RuntimeError("a device that is not there"), "is whole, but cannot be loaded here: RuntimeError"),
        (PermissionError(13, "Permission denied"), "cannot be read: Permission denied"),
    ],
)
def test_a_whole_file_is_not_called_damaged(error, words, tmp_path, monkeypatch):
    """Oracle: the file is as torch wrote it, whatever loading it raises."""
    (tmp_path / "x.pt").write_bytes(ZIP)

    def fail(*args, **options):
        raise error

    monkeypatch.setattr(archives, "read_inert", fail)
    with pytest.raises(CheckpointError, match=rf"x\.pt' {words}"):
        load_checkpoint(tmp_path / "x.pt")
