"""Runs of timm's training script."""

from __future__ import annotations

from landscape.zoo.spec import Builder


def test_timm(of_layout, facts):
    first, second = of_layout("timm")
    tags = {"arch": "resnet18", "batch_size": 128, "learning_rate": 0.5, "epoch": 1}
    metrics = {"train_loss": 1.5, "eval_loss": 1.2, "eval_top1": 60.25}
    assert facts(second) == ("resnet18", 42, tags, metrics)
    assert first.builder == Builder("timm:resnet18", {"num_classes": 10})
