"""A directory of all layouts at once: each file is claimed by the layout that it was made in.

The directories are made here as the tools make them (files and contents as their sources say), so what
is found is known by construction.
"""

from __future__ import annotations

import argparse
import json
import os

import pytest
import torch
from safetensors.torch import save_file

import landscape
from landscape.zoo.layouts import scan_directory
from landscape.zoo.layouts.names import facts_in_name
from landscape.zoo.layouts.run_metadata import facts_in_config, facts_in_content, read_flat_yaml
from landscape.zoo.manifest import read_manifest
from landscape.zoo.spec import Builder

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


LAYOUTS = {
    "plain": make_plain,
    "lightning": make_lightning,
    "ray tune": make_ray,
    "model zoo": make_model_zoo,
    "hugging face": make_hub,
    "timm": make_timm,
    "trajectory": make_trajectory,
    "load-temperature": make_load_temperature,
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """All layouts in one directory."""
    root = tmp_path_factory.mktemp("mixed")
    for make in LAYOUTS.values():
        make(root)
    write(root / "notes.txt", "mine")
    return root


@pytest.fixture(scope="module")
def spec(root):
    return scan_directory(root, allow=["argparse.Namespace"])


def by_layout(spec, layout):
    return [m for m in spec.models if m.layout == layout]


def facts(model):
    return model.group, model.seed, dict(model.tags), dict(model.metrics)


def test_every_layout_claims_its_own(spec):
    counts = {layout: len(by_layout(spec, layout)) for layout in LAYOUTS}
    assert counts == {
        "plain": 1,
        "lightning": 1,
        "ray tune": 2,
        "model zoo": 2,
        "hugging face": 2,
        "timm": 2,
        "trajectory": 3,
        "load-temperature": 4,
    }
    assert len({m.name for m in spec.models}) == len(spec.models) == 17


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_alone_is_as_in_the_mixture(layout, spec, tmp_path):
    """Oracle: the same layout in a directory of its own: tags, metrics and seeds are the same."""
    LAYOUTS[layout](tmp_path)
    alone = scan_directory(tmp_path, allow=["argparse.Namespace"])
    assert {m.layout for m in alone.models} == {layout}
    assert [facts(m)[1:] for m in alone.models] == [facts(m)[1:] for m in by_layout(spec, layout)]


def test_what_is_skipped_and_why(spec):
    reasons = {s.path: s.reason for s in spec.skipped}
    cells = [f"different_knobs_subset_02/bs_{size}/normal/ResNet18_w8/net_exp_1" for size in (128, 16)]
    states = {f"{cell}{state}.pkl" for cell in cells for state in ("", "_best")}
    run = "output/20260101-resnet18"
    assert set(reasons) == states | {
        f"{run}/last.pth.tar",
        f"{run}/model_best.pth.tar",
        "hub/resnet18.mine/pytorch_model.bin",
        "hub/big/model-00001-of-00002.safetensors",
        "1 file with .json",  # beside the sharded model
        "1 file with .txt",
    }
    assert reasons[f"{run}/last.pth.tar"] == f"the same file as {run}/checkpoint-1.pth.tar."
    assert "net_exp_1_early_stopped_model.pkl is taken" in reasons[f"{cells[0]}.pkl"]


def test_lightning(spec):
    (model,) = by_layout(spec, "lightning")
    tags = {"learning_rate": 0.1, "hidden": 32, "epoch": 3, "step": 400, "name": "small"}
    assert facts(model) == ("lightning_logs-version_0", 7, tags, {"val_loss": 0.25})


def test_ray_tune(spec):
    first, second = by_layout(spec, "ray tune")
    group, seed, tags, metrics = facts(second)
    assert (group, seed) == ("ray_results-train_fn_2026-01-01-train_fn_a1b2c_00000_0_lr=0.1", 5)
    assert tags == {"learning_rate": 0.1, "layers": 2, "epoch": 2}
    assert metrics == {"loss": 0.4, "acc": 0.8}
    assert first.metrics["loss"] == 0.9


def test_model_zoo(spec):
    """The log's −999 for training before the first epoch is no measurement."""
    start, end = by_layout(spec, "model zoo")
    tags = {"model_type": "CNN", "batch_size": 8, "learning_rate": 3e-4, "epoch": 0}
    assert facts(start)[1:] == (12, tags, {"test_loss": 2.3, "test_acc": 0.1})
    assert end.metrics == {"train_loss": 0.5, "train_acc": 0.8, "test_loss": 0.6, "test_acc": 0.79}
    assert end.tags["epoch"] == 1


def test_hub(spec):
    """A configuration is data: what would read other files is left out of the builder's arguments."""
    mine, trainer = by_layout(spec, "hugging face")
    assert mine.builder == Builder("timm:resnet18", {"in_chans": 1, "num_classes": 10})
    assert mine.tags == {"arch": "resnet18"}
    assert trainer.builder is None
    tags = {"arch": "ViTForImageClassification", "epoch": 2, "step": 500}
    assert facts(trainer) == ("hub-vit-run", None, tags, {"loss": 1.0, "eval_loss": 0.7})


def test_timm(spec):
    first, second = by_layout(spec, "timm")
    tags = {"arch": "resnet18", "batch_size": 128, "learning_rate": 0.5, "epoch": 1}
    metrics = {"train_loss": 1.5, "eval_loss": 1.2, "eval_top1": 60.25}
    assert facts(second) == ("output-20260101-resnet18", 42, tags, metrics)
    assert first.builder == Builder("timm:resnet18", {"num_classes": 10})


def test_trajectory(spec):
    first, last, step = by_layout(spec, "trajectory")
    assert facts(last) == ("training-resnet-s3-ckpt", 3, {"epoch": 10}, {"test_acc": 0.5})
    assert first.group == last.group
    assert facts(step) == ("training-weights", None, {"step": 200}, {})


def test_load_temperature(spec):
    models = by_layout(spec, "load-temperature")
    assert [(m.seed, m.tags["batch_size"]) for m in models] == [(0, 128), (1, 128), (0, 16), (1, 16)]
    assert {m.group for m in models} == {"bs_128-normal-ResNet18_w8", "bs_16-normal-ResNet18_w8"}
    assert models[0].tags == {"width": 8, "batch_size": 128, "data_fraction": 0.2}
    assert models[1].path.name == "net_exp_1_early_stopped_model.pkl"


def test_without_the_allowed_name_the_file_says_how(root):
    skipped = landscape.scan(root).skipped
    assert "argparse.Namespace" in skipped["output/20260101-resnet18/checkpoint-0.pth.tar"]


def test_the_manifest_says_all_that_was_found(spec, tmp_path):
    """Oracle: reading the manifest again."""
    from landscape.zoo.layouts import write_manifest

    again = read_manifest(write_manifest(spec, tmp_path / "zoo.toml"))
    assert [(m.name, *facts(m)) for m in again.models] == [(m.name, *facts(m)) for m in spec.models]
    timm = next(m for m in again.models if m.name == by_layout(spec, "timm")[0].name)
    assert timm.builder.reference == "timm:resnet18"
    assert timm.builder.kwargs["num_classes"] == 10
    assert again.problem.allow == ("argparse.Namespace",)


def test_names_state_numbers_only_between_separators():
    assert facts_in_name("a/resnet18_epochs_old/net2").tags == {}
    assert facts_in_name("lr_0.05/wd=5e-4/batch_size=16_w4").tags == {
        "learning_rate": 0.05,
        "weight_decay": 5e-4,
        "batch_size": 16,
        "width": 4,
    }


def test_facts_are_single_values():
    config = {"a": [1], "b": None, "c": "x" * 100, "d": "/tmp/x", "e": torch.tensor(2), "seed": True}
    assert facts_in_config(config).tags == {"e": 2}
    assert facts_in_config(config).seed is None
    assert facts_in_content(
        {"epoch": 2, "best_acc1": torch.tensor(0.5), "metrics": {"val/loss": 1}}
    ).metrics == {
        "best_acc1": 0.5,
        "val/loss": 1.0,
    }


def test_yaml_that_is_not_there(tmp_path):
    assert read_flat_yaml(tmp_path / "none.yaml") == {}
