"""Runs of timm's training script."""

from __future__ import annotations

import landscape
from landscape.zoo.spec import Builder


def test_timm(of_layout, facts):
    first, second = of_layout("timm")
    tags = {"arch": "resnet18", "batch_size": 128, "learning_rate": 0.5, "epoch": 1}
    metrics = {"train_loss": 1.5, "eval_loss": 1.2, "eval_top1": 60.25}
    assert facts(second) == ("resnet18", 42, tags, metrics)
    assert first.builder == Builder("timm:resnet18", {"num_classes": 10})


def test_what_the_script_gives_the_model(tmp_path):
    """Oracle: by hand, the arguments of ``create_model`` that train.py takes from these options."""
    import torch

    options = """\
    model: resnet18
    num_classes: 10
    gp: max
    in_chans: null
    input_size: [1, 28, 28]
    pretrained: true
    model_kwargs:
      block_args: {}
      stem_width: 16
    """
    torch.save({"state_dict": {"w": torch.zeros(2)}, "epoch": 0}, tmp_path / "checkpoint-0.pth.tar")
    (tmp_path / "args.yaml").write_text(options.replace("\n    ", "\n").strip())
    (model,) = landscape.scan(tmp_path).spec.models
    assert model.builder == Builder(
        "timm:resnet18", {"stem_width": 16, "num_classes": 10, "global_pool": "max", "in_chans": 1}
    )
