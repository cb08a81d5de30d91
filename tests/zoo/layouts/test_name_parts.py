"""Names as people have them, taken apart; what each part means is what its writer meant, said by hand."""

from __future__ import annotations

import pytest

from landscape.zoo.layouts.name_parts import parts_of

NAMES = {
    # flat files
    "vit-s0": (("vit",), 0, None),
    "vit_seed1": (("vit",), 1, None),
    "seed=12_resnet18": (("resnet18",), 12, None),
    "resnet18_w8_lr0.1_seed=3_epoch_10": (("resnet18_w8_lr0.1",), 3, None),
    "best_vit_s2": (("vit",), 2, None),
    "vit_small_patch16_224": (("vit_small_patch16_224",), None, 224),
    "cnn_0": (("cnn_0",), None, 0),
    "model": ((), None, None),
    # folders of runs
    "runs/vit/0/last": (("vit", "0"), None, 0),
    "vit/seed_3/best": (("vit",), 3, None),
    "resnet/run3/model": (("resnet", "run3"), None, 3),
    # Lightning
    "vit_seed1/checkpoints/epoch=3-step=100": (("vit",), 1, None),
    "lightning_logs/version_0/checkpoints/epoch=3-step=100": ((), None, None),
    "logs/vit/version_2/checkpoints/epoch=09-val_loss=0.25": (("vit",), None, None),
    # Hugging Face, timm, Ray, Hydra, wandb
    "vit-run/checkpoint-500": (("vit-run",), None, None),
    "output/20260101-120000-resnet18-224/model_best": (("resnet18-224",), None, 224),
    "output/20260101-120000-resnet18-224/checkpoint-12": (("resnet18-224",), None, 224),
    "train_fn_2026-01-01_00-00-00/f_a1b2c_00000_0_lr=0.1/checkpoint_000001": (
        ("train_fn", "f_lr=0.1"),
        None,
        None,
    ),
    "multirun/2026-01-01/12-00-00/0/model": (("0",), None, 0),
    "wandb/run-20260101_120000-abc123de/files/model": ((), None, None),
}


@pytest.mark.parametrize("path", NAMES)
def test_variant_seed_and_number(path):
    variant, seed, number = NAMES[path]
    parts = parts_of(path)
    assert (parts.variant, parts.seed, parts.number) == (variant, seed, number)


def test_a_run_keeps_its_seed_and_loses_its_step():
    """Oracle: two checkpoints of one training are one run, those of two trainings are two."""
    early, late, other = (
        parts_of(f"vit_seed{s}/checkpoints/epoch={e}-step={100 * e}").run for s, e in ((0, 1), (0, 9), (1, 9))
    )
    assert early == late != other


@pytest.mark.parametrize(
    ("name", "state"),
    [("vit/last", "last"), ("vit/latest", "last"), ("model_best", "best"), ("vit/blast", "")],
)
def test_the_state_that_a_name_tells(name, state):
    assert parts_of(name).state == state
