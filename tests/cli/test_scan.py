"""``landscape scan``: groups before anything runs, and a manifest that says what is known."""

from __future__ import annotations

import torch
from typer.testing import CliRunner

from landscape.cli.app import app
from landscape.zoo.manifest import read_manifest

STATE = {"weight": torch.zeros(2, 3), "bias": torch.zeros(2)}


def scan(*args):
    result = CliRunner().invoke(app, ["scan", *map(str, args)])
    return result.exit_code, result.output


def test_groups_are_shown_and_can_be_changed(tmp_path):
    for name in ("vit-s0", "vit-s1", "cnn-s0"):
        torch.save(STATE, tmp_path / f"{name}.pt")
    code, said = scan(tmp_path)
    assert code == 0
    rows = [line.split() for line in said.splitlines()]
    assert ["vit", "2", "0,", "1", "1"] in rows
    assert ["cnn", "1", "0", "1"] in rows
    assert "which architecture 3 of 3 checkpoints are; --model says it" in said
    assert "(none)" in scan(tmp_path, "--group-by", "none")[1]


def test_a_manifest_runs_as_it_stands_where_all_is_known(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "zoo").mkdir()
    torch.save(STATE, tmp_path / "zoo" / "net-s0.pt")
    code, said = scan(
        "zoo",
        "--model",
        "torch.nn:Linear(in_features=3, out_features=2)",
        "--data",
        "npz:a.npz",
        "--write-manifest",
    )
    assert code == 0
    assert said.splitlines()[-1] == "wrote zoo/zoo.toml"
    spec = read_manifest("zoo/zoo.toml")
    assert spec.models[0].path.is_file()
    assert (spec.folder, spec.data.reference, spec.data.kwargs) == (tmp_path, "npz:a.npz", {"examples": 512})


def test_what_is_the_same_of_all_is_said_once(tmp_path):
    """Oracle: by hand. Names of files are said again only where the models are called otherwise."""
    for seed in (0, 1):
        torch.save(
            {"state_dict": STATE, "epoch": 9, "test_acc": 0.5 + seed / 4}, tmp_path / f"net-w8-s{seed}.pt"
        )
    said = scan(tmp_path)[1].splitlines()
    assert [line.split() for line in said[:3]] == [
        ["model", "group", "seed", "facts"],
        ["net-w8-s0", "net-w8", "0", "test_acc", "0.5"],
        ["net-w8-s1", "net-w8", "1", "test_acc", "0.75"],
    ]
    assert said[3] == "all: width 8, epoch 9"


def test_copies_of_checkpoints_are_one(tmp_path):
    """Of a folder that was copied, whose links became files; a ``best`` of its own stays."""
    for run in range(3):
        (tmp_path / f"run{run}").mkdir()
        for epoch in (1, 2):
            torch.save(
                {"weight": torch.full((2, 3), float(epoch))}, tmp_path / f"run{run}" / f"epoch{epoch}.pt"
            )
        for name in ("last", "model_best"):
            (tmp_path / f"run{run}" / f"{name}.pt").write_bytes(
                (tmp_path / f"run{run}" / "epoch2.pt").read_bytes()
            )
    torch.save({"weight": torch.zeros(2, 3)}, tmp_path / "run0" / "model_best.pt")
    said = scan(tmp_path)[1]
    assert "skipped 5 files that are the same as others: run0/last.pt, run1/last.pt" in said
    assert "7 checkpoints found" in said
