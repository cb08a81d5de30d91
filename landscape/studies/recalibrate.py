"""Networks with dropout, made ready for use without it: BatchNorm statistics taken anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from landscape.core.problem.batchnorm import recalibrated
from landscape.core.problem.problem import Problem
from landscape.reference.training.augment import augmentation
from landscape.reference.training.checkpoints import load_weights, read_notes, save_weights
from landscape.reference.training.loop import TrainResult, evaluate
from landscape.studies.data import Data, load
from landscape.studies.training import Trained
from landscape.zoo.checkpoint import file_sha256

__all__ = ["recalibrate_batchnorm"]

IDENTITY = "without-dropout"  # in the notes of each file: what its statistics are


def recalibrate_batchnorm(
    models: Sequence[Trained], data: Data, folder: Path, device: str | None = None
) -> list[Trained]:
    """The same weights with BatchNorm statistics of the network without dropout.

    Dropout changes the variance of what the layers behind it see, so statistics gathered under it do not
    fit the network without it (Li et al., CVPR 2019). They are taken anew over the training images, changed
    at random as in training.

    Args:
        models: Networks trained with dropout.
        data: What they were trained on.
        folder: Where the new weights go; those that are there and fit are used.
        device: Where to compute; None for the CPU.

    Returns:
        The models with new weights; losses and accuracies are those of the new statistics.
    """
    train, test = load(data.train), load(data.test)
    return [_recalibrated(m, folder / m.path.name, train, test, device or "cpu") for m in models]


def _recalibrated(model: Trained, path: Path, train: Any, test: Any, device: str) -> Trained:
    identity = {"weights": file_sha256(model.path), "statistics": IDENTITY}
    notes = read_notes(path)
    if notes is not None and notes["identity"] == identity:
        result = TrainResult(**notes["metrics"], epochs=model.result.epochs, seconds=0.0)
        return replace(model, path=path, result=result)
    network = model.recipe.build(model.seed)
    load_weights(network, model.path)
    network.to(device).eval()
    inputs, labels = train
    change = augmentation(model.recipe.training["augment"], inputs)
    assert change is not None
    images = change(inputs, torch.Generator().manual_seed(model.seed))
    problem = Problem(network, "cross_entropy", (images, labels), device=device)
    with recalibrated(problem):
        train_loss, train_accuracy = evaluate(problem.module, train)
        test_loss, test_accuracy = evaluate(problem.module, test)
        result = TrainResult(train_accuracy, test_accuracy, train_loss, test_loss, model.result.epochs, 0.0)
        save_weights(problem.module, path, {"identity": identity, "metrics": result.metrics()})
    return replace(model, path=path, result=result)
