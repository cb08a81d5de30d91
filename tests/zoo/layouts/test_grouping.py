"""Groups, runs, seeds and tags of directories as people have them; the answers are written by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from landscape.errors import InputError
from landscape.zoo.layouts.grouping import grouped, regrouped
from landscape.zoo.spec import Model


def told(*labels, recorded=(), seeds=()):
    """What is made of some paths, with the tags and seeds recorded beside them."""
    tags = list(recorded) or [{}] * len(labels)
    known = list(seeds) or [None] * len(labels)
    models = [
        Model(label, Path(label), label, tags=t, seed=s)
        for label, t, s in zip(labels, tags, known, strict=True)
    ]
    return grouped(models, labels, tags)


def groups(*labels, **more):
    return [(m.group, m.seed) for m in told(*labels, **more).models]


def test_flat_files_with_seeds():
    assert groups("vit-s0.pt", "vit-s1.pt", "cnn-s0.pt") == [("vit", 0), ("vit", 1), ("cnn", 0)]
    assert groups("vit_seed1.pt", "vit_seed2.pt") == [("vit", 1), ("vit", 2)]


def test_flat_files_without_seeds_are_not_groups_of_one():
    assert groups("resnet18.pt", "vit.pt") == [("", None), ("", None)]


def test_numbered_folders_and_what_could_not_be_told():
    found = told("runs/vit/0/last.pt", "runs/vit/1/last.pt", "runs/cnn/0/last.pt", "runs/cnn/1/last.pt")
    assert [(m.group, m.seed) for m in found.models] == [("vit", 0), ("vit", 1), ("cnn", 0), ("cnn", 1)]
    assert "'vit/0' is taken for the seed" in found.notes[0]


@pytest.mark.parametrize(
    "names", [("vit_patch16_224.pt", "vit_patch16_384.pt"), ("net_100.pt", "net_900.pt")]
)
def test_a_size_is_no_seed(names):
    assert groups(*names) == [("", None), ("", None)]


def test_lightning_versions_are_told_apart_by_what_they_record():
    """Two learning rates, two seeds each, in folders that say nothing."""
    labels = [f"lightning_logs/version_{v}/checkpoints/epoch=3-step=100.ckpt" for v in range(4)]
    recorded = [{"learning_rate": lr, "hidden": 32} for lr in (0.1, 0.1, 0.01, 0.01)]
    assert groups(*labels, recorded=recorded, seeds=(0, 1, 0, 1)) == [
        ("learning_rate=0.1", 0),
        ("learning_rate=0.1", 1),
        ("learning_rate=0.01", 0),
        ("learning_rate=0.01", 1),
    ]


def test_checkpoints_of_a_run_are_a_trajectory_within_the_group():
    labels = [f"vit_seed{s}/checkpoints/epoch={e}-step={e * 10}.ckpt" for s in (0, 1) for e in (1, 2)]
    models = told(*labels).models
    assert [(m.group, m.run, m.seed) for m in models] == [
        ("vit", "vit_seed0", 0),
        ("vit", "vit_seed0", 0),
        ("vit", "vit_seed1", 1),
        ("vit", "vit_seed1", 1),
    ]


def test_hugging_face_checkpoints():
    models = told("vit-s0/checkpoint-500", "vit-s0/checkpoint-1000", "vit-s1/checkpoint-500").models
    assert [(m.group, m.run, m.seed) for m in models] == [
        ("vit", "vit-s0", 0),
        ("vit", "vit-s0", 0),
        ("vit", "", 1),
    ]


def test_timm_runs_of_three_seeds():
    labels = [f"output/2026010{i}-120000-resnet18-224/model_best.pth.tar" for i in range(1, 4)]
    assert groups(*labels, seeds=(0, 1, 2)) == [("resnet18-224", 0), ("resnet18-224", 1), ("resnet18-224", 2)]


def test_last_and_best_of_one_run():
    models = told("vit/s0/last.pt", "vit/s0/best.pt").models
    assert [(m.group, m.run, m.tags) for m in models] == [
        ("vit", "s0", {"state": "last"}),
        ("vit", "s0", {"state": "best"}),
    ]


def test_words_that_vary_become_tags():
    models = told(
        *(f"{a}-{b}-s{s}.pt" for a in ("cnn", "vit") for b in ("aug", "noaug") for s in (0, 1))
    ).models
    assert models[0].tags == {"part 1": "cnn", "aug": "yes"}
    assert models[-1].tags == {"part 1": "vit", "aug": "no"}
    assert [m.group for m in models[::2]] == ["cnn-aug", "cnn-noaug", "vit-aug", "vit-noaug"]


def test_words_that_are_there_or_not_become_tags():
    models = told("cnn-s0.pt", "cnn-mixup-s0.pt", "vit-s0.pt", "vit-mixup-s0.pt").models
    assert [m.tags.get("mixup") for m in models] == ["no", "yes", "no", "yes"]


def test_settings_in_names_become_tags_under_their_usual_names():
    models = told("cnn_lr=0.1_s0.pt", "cnn_lr=0.01_s0.pt").models
    assert [m.tags for m in models] == [{"learning_rate": 0.1}, {"learning_rate": 0.01}]


def test_hydra_jobs_that_differ_in_a_setting_are_no_seeds():
    labels = [f"multirun/2026-01-01/12-00-00/{i}/model.pt" for i in range(4)]
    recorded = [{"learning_rate": lr} for lr in (0.1, 0.1, 0.01, 0.01)]
    assert groups(*labels, recorded=recorded, seeds=(5, 6, 5, 6)) == [
        ("learning_rate=0.1", 5),
        ("learning_rate=0.1", 6),
        ("learning_rate=0.01", 5),
        ("learning_rate=0.01", 6),
    ]


def test_other_groups_on_demand():
    recorded = [{"arch": a, "width": w} for a in ("cnn", "vit") for w in (4, 8)]
    models = told("a/x-s0.pt", "a/x-s1.pt", "b/x-s0.pt", "b/x-s1.pt", recorded=recorded).models
    assert [m.group for m in regrouped(models, "arch")] == ["cnn", "cnn", "vit", "vit"]
    assert [m.group for m in regrouped(models, "width")] == ["width=4", "width=8", "width=4", "width=8"]
    assert regrouped(models, "arch,width")[3].group == "arch=vit-width=8"
    assert {m.group for m in regrouped(models, "none")} == {""}
    assert [m.group for m in regrouped(models, "folder")] == ["a", "a", "b", "b"]
    with pytest.raises(InputError, match="no checkpoint has a tag 'widht'; did you mean 'width'"):
        regrouped(models, "widht")
