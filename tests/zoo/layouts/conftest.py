"""A directory of all layouts at once, made as the tools make them.

Files and contents are as the tools' sources say, so what is found is known by construction.
"""

from __future__ import annotations

import argparse
import json
import os

import pytest
import torch
from safetensors.torch import save_file

from landscape.zoo.layouts import scan_directory

STATE = {"weight": torch.zeros(2, 3), "bias": torch.zeros(2)}


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text if isinstance(text, str) else json.dumps(text))


def save(path, content=STATE):
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)


def make_plain(root):
    save(root / "net-s4.pt")


def make_lightning(root):
    version = root / "lightning_logs" / "version_0"
    content = {
        "state_dict": {f"model.{k}": v for k, v in STATE.items()},
        "hyper_parameters": {"lr": 0.1, "hidden": 32, "data_dir": "/somewhere/else"},
        "epoch": 3,
        "global_step": 400,
        "pytorch-lightning_version": "2.4.0",
        "optimizer_states": [{"state": {}, "param_groups": [{"lr": 0.1}]}],
    }
    save(version / "checkpoints" / "epoch=3-val_loss=0.25.ckpt", content)
    write(version / "hparams.yaml", "lr: 0.1\nseed: 7\nlayers:\n- 3\n- 4\nname: 'small'\nnothing: null\n")
    write(version / "metrics.csv", "epoch,val_loss\n3,0.25\n")


def make_ray(root):
    trial = root / "ray_results" / "train_fn_2026-01-01" / "train_fn_a1b2c_00000_0_lr=0.1"
    write(trial / "params.json", {"lr": 0.1, "layers": 2, "seed": 5, "data": "/data/cifar"})
    rows = [
        {"loss": 0.9, "acc": 0.5, "training_iteration": 1, "checkpoint_dir_name": "checkpoint_000000"},
        {"loss": 0.4, "acc": 0.8, "training_iteration": 2, "checkpoint_dir_name": "checkpoint_000001"},
    ]
    write(trial / "result.json", "\n".join(map(json.dumps, rows)) + '\n{"loss": 0.3, "tra')
    write(trial / "progress.csv", "loss,acc\n0.9,0.5\n")
    for number in (0, 1):
        save(trial / f"checkpoint_00000{number}" / "model.pt", {"model_state_dict": STATE})
        save(trial / f"checkpoint_00000{number}" / "optimizer.pt", {"state": {}})


def make_model_zoo(root):
    zoo = root / "tune_zoo_mnist"
    write(zoo / "index_dict.json", {"layer": [[0, "conv2d"], [3, "fc"]]})
    trial = zoo / "NN_tune_trainable_000_seed=12"
    write(
        trial / "params.json", {"seed": 12, "model::type": "CNN", "training::batchsize": 8, "optim::lr": 3e-4}
    )
    rows = [
        {"train_loss": -999, "train_acc": -999, "test_loss": 2.3, "test_acc": 0.1, "training_iteration": 0},
        {"train_loss": 0.5, "train_acc": 0.8, "test_loss": 0.6, "test_acc": 0.79, "training_iteration": 1},
    ]
    write(trial / "result.json", "\n".join(map(json.dumps, rows)))
    for number in (0, 1):
        save(trial / f"checkpoint_00000{number}" / "checkpoints")
        save(trial / f"checkpoint_00000{number}" / "optimizer", {"state": {}, "param_groups": []})


def make_hub(root):
    folder = root / "hub" / "resnet18.mine"
    config = {
        "architecture": "resnet18",
        "num_classes": 10,
        "model_args": {"in_chans": 1, "checkpoint_path": "evil.pth", "pretrained_cfg": {"url": "x"}},
    }
    write(folder / "config.json", config)
    save_file(STATE, folder / "model.safetensors")
    save(folder / "pytorch_model.bin")
    trainer = root / "hub" / "vit-run" / "checkpoint-500"
    write(trainer / "config.json", {"architectures": ["ViTForImageClassification"], "model_type": "vit"})
    state = {"epoch": 2.0, "global_step": 500, "log_history": [{"loss": 1.0}, {"eval_loss": 0.7}]}
    write(trainer / "trainer_state.json", state)
    save_file(STATE, trainer / "model.safetensors")
    write(root / "hub" / "big" / "config.json", {})
    save_file(STATE, root / "hub" / "big" / "model-00001-of-00002.safetensors")


def make_timm(root):
    run = root / "output" / "20260101-resnet18"
    write(
        run / "args.yaml",
        "model: resnet18\nnum_classes: 10\nbatch_size: 128\nlr: 0.5\nseed: 42\nworkers: 4\n",
    )
    write(run / "summary.csv", "epoch,train_loss,eval_loss,eval_top1\n0,2.0,1.9,30.5\n1,1.5,1.2,60.25\n")
    for epoch in (0, 1):
        args = argparse.Namespace(model="resnet18", lr=0.5)
        save(run / f"checkpoint-{epoch}.pth.tar", {"epoch": epoch, "state_dict": STATE, "args": args})
    os.link(run / "checkpoint-1.pth.tar", run / "last.pth.tar")
    os.link(run / "checkpoint-1.pth.tar", run / "model_best.pth.tar")


def make_trajectory(root):
    for epoch in (1, 10):
        save(
            root / "training" / "resnet-s3" / f"ckpt_epoch_{epoch}.pth",
            {"state_dict": STATE, "test_acc": 0.5},
        )
    save(root / "training" / "step-200" / "weights.pt")


def make_load_temperature(root):
    for size in (16, 128):
        cell = root / "different_knobs_subset_02" / f"bs_{size}" / "normal" / "ResNet18_w8"
        for name in ("net_exp_0", "net_exp_1", "net_exp_1_best", "net_exp_1_early_stopped_model"):
            save(cell / f"{name}.pkl")


MAKERS = {
    "plain": make_plain,
    "lightning": make_lightning,
    "ray tune": make_ray,
    "model zoo": make_model_zoo,
    "hugging face": make_hub,
    "timm": make_timm,
    "trajectory": make_trajectory,
    "load-temperature": make_load_temperature,
}


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """All layouts in one directory."""
    root = tmp_path_factory.mktemp("mixed")
    for make in MAKERS.values():
        make(root)
    write(root / "notes.txt", "mine")
    return root


@pytest.fixture(scope="session")
def spec(root):
    return scan_directory(root, allow=["argparse.Namespace"])


@pytest.fixture(scope="session")
def of_layout(spec):
    """The models that a layout claimed."""
    return lambda layout, zoo=spec: [m for m in zoo.models if m.layout == layout]


@pytest.fixture(scope="session")
def facts():
    """What is known of a model: group, seed, tags, metrics."""
    return lambda model: (model.group, model.seed, dict(model.tags), dict(model.metrics))


@pytest.fixture(scope="session")
def layouts():
    """What makes a directory of each layout, by its name."""
    return MAKERS


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
