"""Scanning: every checkpoint is found and every other file accounted for; nothing is run."""

from __future__ import annotations

import os
import pickle

import pytest
import torch
from safetensors.torch import save_file

import landscape
from landscape.errors import InputError
from landscape.zoo.layouts import LAYOUTS, Found, Layout, scan_directory, write_manifest
from landscape.zoo.manifest import read_manifest
from landscape.zoo.spec import Model

STATE = {"weight": torch.zeros(2, 3), "bias": torch.zeros(2)}


@pytest.fixture
def directory(tmp_path):
    """Two kinds of models in folders, beside all that people keep with them."""
    root = tmp_path / 'my "zoo"'
    for group in ("resnet", "vit/small"):
        (root / group).mkdir(parents=True)
        for seed in (0, 1):
            torch.save({"state_dict": STATE, "epoch": 3}, root / group / f"net-s{seed}.pth")
    save_file(STATE, root / "last.safetensors")
    torch.save({"module.weight": STATE["weight"]}, root / "first.pt")
    torch.save({"optimizer": {"lr": 0.1}}, root / "optimizer.pt")
    (root / "cut.pt").write_bytes((root / "first.pt").read_bytes()[:300])
    (root / "empty.bin").write_bytes(b"")
    (root / "log.txt").write_text("x")
    (root / "metrics.csv").write_text("x")
    (root / "metrics2.csv").write_text("x")
    (root / ".git").mkdir()
    torch.save(STATE, root / ".git" / "hidden.pt")
    return root


def test_what_is_found(directory):
    """Oracle: the files that were made."""
    zoo = landscape.scan(directory)
    found = [(m.name, m.shown, m.group, m.seed) for m in zoo.spec.models]
    assert found == [
        ("first", "first.pt", "", None),
        ("last", "last.safetensors", "", None),
        ("resnet-net-s0", "resnet/net-s0.pth", "resnet", 0),
        ("resnet-net-s1", "resnet/net-s1.pth", "resnet", 1),
        ("vit-small-net-s0", "vit/small/net-s0.pth", "vit-small", 0),
        ("vit-small-net-s1", "vit/small/net-s1.pth", "vit-small", 1),
    ]
    assert all(m.path.is_file() for m in zoo.spec.models)
    assert all(m.builder is None for m in zoo.spec.models)


def test_what_is_skipped_and_why(directory):
    skipped = landscape.scan(directory).skipped
    assert set(skipped) == {
        "optimizer.pt",
        "cut.pt",
        "empty.bin",
        "1 file with .txt",
        "2 files with .csv",
    }
    assert "holds no tensors" in skipped["optimizer.pt"]
    assert "truncated or damaged" in skipped["cut.pt"]
    assert "is empty" in skipped["empty.bin"]
    assert skipped["1 file with .txt"].startswith("not one of .pt, .pth, .pth.tar, .ckpt, .bin")


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    """Oracle: the folder that its code would make."""

    class Malicious:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "mark"),))

    (tmp_path / "evil.pt").write_bytes(pickle.dumps({"x": Malicious()}, protocol=2))
    zoo = landscape.scan(tmp_path)
    assert "mkdir" in zoo.skipped["evil.pt"]
    assert not (tmp_path / "mark").exists()


def test_manifest_names_what_was_found(directory):
    """Oracle: reading it again gives the same checkpoints; the builders are left to the user."""
    zoo = landscape.scan(directory)
    path = zoo.write_manifest()
    assert path == directory / "zoo.toml"
    spec = read_manifest(path)
    assert spec.name == 'my "zoo"'
    keep = [(m.name, m.path.resolve(), m.group, m.seed) for m in zoo.spec.models]
    assert [(m.name, m.path.resolve(), m.group, m.seed) for m in spec.models] == keep
    assert {m.builder.reference for m in spec.models} == {"my_models:build"}
    with pytest.raises(InputError, match="exists already"):
        write_manifest(zoo.spec, path)
    with pytest.raises(InputError, match="there is no module 'my_models'"):
        landscape.Zoo(spec).run()


def test_nothing_to_find(tmp_path):
    zoo = landscape.scan(tmp_path)
    assert zoo.models == []
    with pytest.raises(InputError, match="holds no checkpoints"):
        zoo.write_manifest()
    with pytest.raises(InputError, match="does not exist"):
        landscape.scan(tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is not a directory"):
        landscape.scan(tmp_path / "file")


def test_another_layout_takes_its_files_first(directory):
    """Oracle: a layout made up here that claims the files of one folder."""

    def trial(scan):
        mine = [f for f in scan.files if f.parent.name == "resnet"]
        found = Found(models=[Model("trial", mine[0])])
        found.skip(scan, mine[1], "older")
        return found

    spec = scan_directory(directory, layouts=[Layout("trials", trial), *LAYOUTS])
    assert [(m.name, m.layout) for m in spec.models[:2]] == [("trial", "trials"), ("first", "plain")]
    assert [s.reason for s in spec.skipped if s.path == "resnet/net-s1.pth"] == ["older"]
    assert len(spec.models) == 5
