"""Small models for the tests of studies, importable by the processes that train and analyse."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from landscape.reference.training import checkpoints
from landscape.reference.training.loop import TrainResult
from landscape.reference.training.recipe import Recipe
from landscape.studies.training import Trained

RESULT = TrainResult(
    train_accuracy=0.75, test_accuracy=0.5, train_loss=0.25, test_loss=2.0, epochs=7, seconds=1.0
)


def linear() -> nn.Module:
    """One layer on digits."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))


def normalised() -> nn.Module:
    """Dropout before BatchNorm."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 5), nn.Dropout(0.5), nn.BatchNorm1d(5), nn.Linear(5, 10)
    )


def trained(kind: str, seed: int, folder: Path, make=linear, **training: object) -> Trained:
    """A model of a kind with weights of its seed, as if it had been trained."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = make()
    path = folder / f"{kind}-s{seed}.safetensors"
    checkpoints.save_weights(model, path, {"identity": {"seed": seed}})
    return Trained(path.stem, Recipe(kind, make, {}, training, {"kind": kind}), seed, path, RESULT)
