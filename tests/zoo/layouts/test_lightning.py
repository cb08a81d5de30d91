"""Lightning: a run's folder, its hyper-parameters and its checkpoints."""

from __future__ import annotations


def test_lightning(of_layout, facts):
    (model,) = of_layout("lightning")
    tags = {"learning_rate": 0.1, "hidden": 32, "epoch": 3, "step": 400, "name": "small"}
    assert facts(model) == ("", 7, tags, {"val_loss": 0.25})
