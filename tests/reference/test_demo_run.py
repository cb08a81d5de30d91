"""The demo's run: files, manifest and what is measured along it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import torch

import landscape
from landscape import Zoo
from landscape.reference import data, models
from landscape.reference.demo import build_zoo
from landscape.reference.demo_run import EPOCHS, RECIPE, train_run
from landscape.reference.training.recipe import Recipe

pytest.importorskip("mlxtend", reason="the zoo needs the extra 'demo'")

TINY = Recipe("mlp", models.mlp, {"widths": (784, 4, 10)}, {"epochs": 2, "batch_size": 80}, {})


def test_its_checkpoints_stand_beside_the_others_and_are_measured_alone(tmp_path: Path) -> None:
    """Oracle: the TOML reader; the limit 2(1 + 0.9)/0.1 = 38; the loss, by torch, of a file that it wrote."""
    path = build_zoo(tmp_path, quick=True, recipes=[TINY], seeds=[0], run=True)
    manifest = tomllib.loads(path.read_text("utf-8"))
    names = ["run-epoch0", "run-epoch1", "run-epoch2"]
    assert [c["name"] for c in manifest["checkpoints"]] == ["mlp-s0", *names]
    assert [c["tags"]["epoch"] for c in manifest["checkpoints"][1:]] == [0, 1, 2]
    assert [p["name"] for p in manifest["predictives"]] == ["mlp-laplace"]
    of = {label: table["models"] for label, table in manifest["analyses"].items()}
    along = {label for label, patterns in of.items() if patterns == ["run-*"]}
    assert along == {"stability", "run_spectrum", "run_surface", "run_cka"}
    assert not any("run-*" in patterns for label, patterns in of.items() if label not in along)
    result = Zoo.from_manifest(path).run(["stability"], store=tmp_path / "store")
    assert not result.failed
    ds = landscape.open(next((tmp_path / "store" / "stability").glob("*.h5")))
    assert ds["limit"].values == pytest.approx([38.0, 38.0, 38.0])
    model = models.mlp(RECIPE.kwargs["widths"])
    model.load_state_dict(torch.load(tmp_path / manifest["checkpoints"][3]["path"])["model"])
    inputs, labels = data.digits("train", 64)
    loss = torch.nn.functional.cross_entropy(model(inputs), labels).item()
    assert float(ds["loss"][2]) == pytest.approx(loss, rel=1e-5)


def test_it_is_as_long_as_its_last_checkpoint_and_is_trained_once(tmp_path: Path) -> None:
    """Oracle: the reports: each epoch once, and a finished run with its last one alone."""
    reports: list[int] = []
    first = train_run(tmp_path, True, lambda name, epoch, *rest: reports.append(epoch))
    again = train_run(tmp_path, True, lambda name, epoch, *rest: reports.append(epoch))
    assert reports == [1, 2, 2] and first == again
    assert len(EPOCHS) == 10
