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
