"""What lies beside weights is no model, and weights are."""

from __future__ import annotations

import random

import pytest
import torch
from torch import nn

from landscape.zoo.layouts import scan_directory
from landscape.zoo.layouts.beside_weights import why_by_content, why_by_name
from landscape.zoo.layouts.template import write_manifest
from landscape.zoo.manifest import read_manifest


@pytest.mark.parametrize(
    "name",
    [
        "optimizer.pt",
        "scheduler.bin",
        "rng_state.pth",
        "rng_state_3.pth",
        "random_states_0.pkl",
        "scaler.pt",
        "training_args.bin",
        "optimizer_1.bin",
    ],
)
def test_names_of_trainers(name):
    """Oracle: the names in the sources of Hugging Face's Trainer and of accelerate."""
    assert why_by_name(name)
    assert not why_by_name(f"best_{name}")


def test_contents():
    """Oracle: made by hand, or by torch's optimiser."""
    net = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(net.parameters())
    net(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    assert "optimiser" in why_by_content(optimizer.state_dict()["state"][0], {"param_groups": []})
    assert "random numbers" in why_by_content(
        {"cpu": torch.random.get_rng_state()}, {"python": random.getstate()}
    )
    assert "data (images, labels)" in why_by_content({"images": torch.ones(1), "labels": torch.ones(1)}, {})
    assert "data" in why_by_content({"mean": torch.zeros(3), "std": torch.ones(3)}, {})
    assert why_by_content(net.state_dict(), {"optimizer": optimizer.state_dict()}) == ""
    assert why_by_content({"w": torch.ones(1)}, {}) == ""


def test_a_folder_of_a_trainer(tmp_path):
    """Oracle: one file is the model by construction; its name has a line break, which the manifest holds."""
    net = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    torch.save(net.state_dict(), tmp_path / "new\nline.pt")
    torch.save(optimizer.state_dict(), tmp_path / "optimizer.pt")
    torch.save({"step": 5, "torch_manual_seed": torch.get_rng_state()}, tmp_path / "random_states_0.pkl")
    torch.save({"images": torch.ones(2), "labels": torch.ones(2)}, tmp_path / "train.pt")
    torch.save((torch.randn(4), torch.ones(4)), tmp_path / "test.pt")
    found = scan_directory(tmp_path)
    assert [m.name for m in found.models] == ["new_line"]
    assert len(found.skipped) == 4
    read = read_manifest(write_manifest(found, tmp_path / "zoo.toml"))
    assert read.models[0].path.is_file()
