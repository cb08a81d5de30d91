"""Arguments that checkpoints tell."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from landscape.zoo.draft.arguments import classes_of, completed
from landscape.zoo.spec import Builder, Model


def save(path, content):
    torch.save(content, path)
    return path


def told(path, reference, kwargs=None, folder=Path()):
    return completed(Model("a", path, builder=Builder(reference, kwargs or {})), folder).builder.kwargs


def test_classes_of_a_library_are_the_rows_of_the_last_layer(tmp_path):
    file = save(
        tmp_path / "a.pt",
        {"conv.weight": torch.zeros(4, 3, 3, 3), "fc.weight": torch.zeros(7, 4), "fc.bias": torch.zeros(7)},
    )
    assert told(file, "torchvision:resnet18") == {"num_classes": 7}
    assert told(file, "timm:resnet18", {"in_chans": 1}) == {"in_chans": 1}
    assert told(file, "my:net") == {}


def test_hyperparameters_of_lightning_that_the_class_takes(tmp_path):
    """Training settings with a default are left out: seeds and rates do not make another architecture."""
    (tmp_path / "lit_kept_nets.py").write_text(
        "class Net:\n    def __init__(self, hidden, lr, seed=0, layers=1): pass\n"
    )
    kept = {"hidden": 8, "lr": 0.1, "seed": 3, "layers": 2, "unknown": 1, "object": torch.zeros(1)}
    file = save(tmp_path / "a.ckpt", {"state_dict": {"w": torch.zeros(1)}, "hyper_parameters": kept})
    assert told(file, "lit_kept_nets:Net", folder=tmp_path) == {"hidden": 8, "lr": 0.1, "layers": 2}


def test_classes_in_the_order_of_the_models(tmp_path):
    config = {"id2label": {"0": "cat", "1": "ant"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    models = [Model("a", tmp_path / "model.safetensors")]
    (tmp_path / "photos" / "ant").mkdir(parents=True)
    assert classes_of(models, tmp_path / "photos") == ["cat", "ant"]
    (tmp_path / "config.json").write_text(json.dumps({"id2label": {"0": "ant", "1": "bee", "2": "cat"}}))
    assert classes_of(models, tmp_path / "photos") == ["ant", "bee", "cat"]  # sorted, but the folders are two
    (tmp_path / "photos" / "dog").mkdir()
    assert classes_of(models, tmp_path / "photos") == []
