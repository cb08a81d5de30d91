"""The demo's run: ten checkpoints of one training at the edge of stability, for pictures along it.

A small network learns 512 digits by full-batch gradient descent with momentum β, so that the curvature at
which its steps would diverge is 2(1 + β)/η exactly (Cohen et al., 2021, appendix B). What is measured is the
loss that was minimised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from landscape.reference import data, models
from landscape.reference.training.evaluation import measure
from landscape.reference.training.recipe import Recipe
from landscape.reference.training.run_recipe import run_recipe

__all__ = ["DIGITS", "GROUP", "run_analyses", "train_run"]

GROUP = "run"
"""Name of the group of its checkpoints."""

DIGITS = 512
"""Digits that it learns; the demo's analyses measure on the same."""

EPOCHS = (0, 4, 8, 12, 16, 20, 24, 30, 42, 60)
"""Those kept. Sharpness grows to the limit of 38 by epoch 12, passes it, and is driven back."""

QUICK_EPOCHS = (0, 1, 2)

RECIPE = Recipe(
    group=GROUP,
    builder=models.mlp,
    kwargs={"widths": (784, 24, 24, 10)},
    training={"optimizer": "sgd", "lr": 0.1, "schedule": "constant", "save_every": 20},
    tags={"method": "run", "architecture": "fully connected"},
)


def train_run(directory: Path, quick: bool, report: Callable[..., None]) -> list[dict[str, Any]]:
    """Train it, or go on with it, or find that it is done.

    Args:
        directory: That of the demo's zoo; weights and states of the optimiser go to its ``checkpoints``.
        quick: Two epochs on few digits.
        report: Called after each epoch, as `build_zoo`'s ``on_progress``.

    Returns:
        The entries of its checkpoints in the manifest.
    """
    epochs, count = (QUICK_EPOCHS, 64) if quick else (EPOCHS, DIGITS)
    learnt, held_out = data.digits("train", count), data.digits("test", count if quick else None)
    run_recipe(
        RECIPE,
        0,
        learnt,
        held_out,
        path=directory / "checkpoints" / f"{GROUP}.safetensors",
        epochs=epochs[-1],
        batch_size=count,
        keep=epochs,
        keep_optimizer=True,
        on_epoch=lambda epoch, total, loss, accuracy: report(GROUP, epoch, total, loss, accuracy),
    )
    return list(_entries(directory, epochs, (learnt, held_out)))


def _entries(directory: Path, epochs: tuple[int, ...], digits: tuple[Any, Any]) -> Iterator[dict[str, Any]]:
    model = RECIPE.build(0)
    for epoch in epochs:
        path = f"checkpoints/{GROUP}-epoch{epoch}.pt"
        model.load_state_dict(torch.load(directory / path, weights_only=True)["model"])
        yield {
            "name": f"{GROUP}-epoch{epoch}",
            "path": path,
            "state": "model",
            "builder": RECIPE.builder_name,
            "kwargs": {"widths": list(RECIPE.kwargs["widths"])},
            "group": GROUP,
            "seed": 0,
            "tags": {**RECIPE.tags, "epoch": epoch},
            "metrics": measure(model, *digits, "cross_entropy"),
        }


def run_analyses(quick: bool) -> dict[str, Mapping[str, Any]]:
    """Tables of the manifest: what is measured along the run, by label."""
    only = {"models": [f"{GROUP}-*"]}
    return {
        "[analyses.stability]": {**only, "tol": 0.01},
        "[analyses.run_spectrum]": {"analysis": "spectrum", **only, "k": 5, "tol": 0.01},
        "[analyses.run_surface]": {
            "analysis": "surface",
            **only,
            "directions": "trajectory",
            "steps": 7 if quick else 25,
        },
        "[analyses.run_cka]": {"analysis": "cka", **only, "together": True, "examples": 64 if quick else 256},
    }
