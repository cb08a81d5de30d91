"""From a recipe to a checkpoint: training, and what is done to the trained weights."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from landscape.reference.training import checkpoints as files
from landscape.reference.training.evaluation import TrainResult, measure
from landscape.reference.training.loop import train
from landscape.reference.training.recipe import Recipe

__all__ = ["run_recipe"]

Data = tuple[Tensor, Tensor]


def run_recipe(
    recipe: Recipe,
    seed: int,
    data: Data,
    test_data: Data,
    *,
    path: Path | str,
    device: str = "cpu",
    **changes: Any,
) -> TrainResult:
    """Make the checkpoint of a recipe and a seed, or go on with it, or find that it is done.

    Without ``recipe.after``, `path` is what `landscape.reference.training.train` writes. Otherwise the
    training writes ``<stem>-trained<suffix>`` beside it, and `path` holds what the steps make of those
    weights, with the hash of the trained file, the steps and the metrics of the result in its metadata.

    Args:
        recipe: The kind of model.
        seed: Decides the initial weights and all that is random in the training.
        data: Training inputs (N, ...) and labels (N,).
        test_data: Held-out inputs (M, ...) and labels (M,).
        path: Where the checkpoint goes.
        device: Where to train.
        changes: Arguments of `train` beside those of the recipe, or in their place.

    Returns:
        Accuracies and losses of the weights at `path`. Those on the training data are of all of them, and of
        the labels as given, if there are steps after the training.

    Raises:
        InputError: If a setting or the data are unusable, or the loss becomes NaN or infinite.
        CheckpointError: If the file of an earlier run is damaged.
        StoreError: If a file cannot be written.
    """
    path = Path(path)
    trained = path.with_name(f"{path.stem}-trained{path.suffix}") if recipe.after else path
    model = recipe.build(seed).to(device)
    note = {"builder": recipe.builder_name, "kwargs": dict(recipe.kwargs)}
    result = train(
        model, data, test_data, path=trained, seed=seed, **{"note": note, **recipe.training, **changes}
    )
    return _post_process(recipe, model, trained, path, data, test_data, result) if recipe.after else result


def _post_process(
    recipe: Recipe,
    model: nn.Module,
    trained: Path,
    path: Path,
    data: Data,
    test_data: Data,
    result: TrainResult,
) -> TrainResult:
    began = time.perf_counter()
    identity = {
        # The bytes stand for all that the training depends on.
        "trained": hashlib.sha256(trained.read_bytes()).hexdigest(),
        "after": [step.describe() for step in recipe.after],
    }
    notes = files.read_notes(path)
    if notes is None or notes.get("identity") != identity:
        for step in recipe.after:
            model = step(model, data)
        metrics = measure(model, data, test_data, recipe.training.get("loss", "cross_entropy"))
        files.save_weights(model, path, {"identity": identity, "metrics": metrics})
        notes = {"metrics": metrics}
    seconds = result.seconds + time.perf_counter() - began
    return TrainResult.of(notes["metrics"], result.epochs, seconds)
