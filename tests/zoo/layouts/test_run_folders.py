"""Runs of Hydra and wandb, written as these tools write them."""

from __future__ import annotations

import json

import torch

from landscape.zoo.layouts import scan_directory

STATE = {"weight": torch.zeros(2, 3), "bias": torch.zeros(2)}


def test_hydra(tmp_path):
    for job, (lr, seed) in enumerate([(0.1, 5), (0.1, 6), (0.01, 5), (0.01, 6)]):
        run = tmp_path / "multirun" / "2026-01-01" / "12-00-00" / str(job)
        (run / ".hydra").mkdir(parents=True)
        (run / ".hydra" / "overrides.yaml").write_text(
            f"- optimizer.lr={lr}\n- seed={seed}\n- hydra.verbose=true\n"
        )
        torch.save(STATE, run / "model.pt")
    models = scan_directory(tmp_path).models
    assert [(m.group, m.seed) for m in models] == [
        ("learning_rate=0.1", 5),
        ("learning_rate=0.1", 6),
        ("learning_rate=0.01", 5),
        ("learning_rate=0.01", 6),
    ]
    assert models[0].tags == {"learning_rate": 0.1}


def test_wandb(tmp_path):
    for day, (width, seed) in enumerate([(8, 0), (8, 1), (16, 0), (16, 1)], 1):
        files = tmp_path / "wandb" / f"run-2026010{day}_120000-abc123d{day}" / "files"
        files.mkdir(parents=True)
        text = f"width:\n  desc: null\n  value: {width}\nseed:\n  value: {seed}\n"
        text += "_wandb:\n  value:\n    cli_version: 1\n"
        (files / "config.yaml").write_text(text)
        (files / "wandb-summary.json").write_text(json.dumps({"val_acc": 0.5, "_runtime": 3}))
        torch.save(STATE, files / "model.pt")
    spec = scan_directory(tmp_path)
    assert [(m.group, m.seed) for m in spec.models] == [
        ("width=8", 0),
        ("width=8", 1),
        ("width=16", 0),
        ("width=16", 1),
    ]
    assert spec.models[0].metrics == {"val_acc": 0.5}
    assert spec.skipped == ()
