"""The models of a study: trained in parallel, or found to be trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from landscape.reference.training.evaluation import TrainResult
from landscape.reference.training.pool import run_all
from landscape.reference.training.recipe import PostProcessing, Recipe
from landscape.reference.training.run_recipe import run_recipe
from landscape.studies.data import Data, load
from landscape.zoo.spec import Builder, Model

__all__ = ["Trained", "describe", "kind", "train_models"]


@dataclass(frozen=True)
class Trained:
    """A trained model of a study.

    Attributes:
        name: ``<kind>-s<seed>``.
        recipe: How it was made; its group is the kind of model.
        seed: Training seed.
        path: The weights.
        result: Losses and accuracies.
    """

    name: str
    recipe: Recipe
    seed: int
    path: Path
    result: TrainResult

    def spec(self) -> Model:
        """The model as a zoo knows it."""
        builder = Builder(self.recipe.builder_name, dict(self.recipe.kwargs))
        return Model(
            self.name,
            self.path,
            self.path.name,
            builder,
            self.recipe.group,
            self.seed,
            dict(self.recipe.tags),
            self.result.metrics(),
        )


def kind(
    name: str,
    builder: Callable[..., nn.Module],
    kwargs: Mapping[str, Any],
    training: Mapping[str, Any],
    *after: PostProcessing,
) -> Recipe:
    """The recipe of a kind of model that findings and figures call by its name.

    Args:
        name: Of the kind; it is a tag of its models as well.
        builder: Function of `landscape.reference.models` that makes a model.
        kwargs: Its arguments.
        training: Arguments of `landscape.reference.training.loop.train`.
        *after: What is done to the trained weights, in order.
    """
    return Recipe(name, builder, kwargs, training, {"kind": name}, after)


def train_models(
    pairs: Sequence[tuple[Recipe, int]],
    data: Data,
    folder: Path,
    *,
    jobs: int = 1,
    device: str | None = None,
    on_model: Callable[[str], None] = lambda name: None,
) -> list[Trained]:
    """Train recipes with seeds, or find that it is done.

    Args:
        pairs: Kinds of models, each with a training seed.
        data: The examples.
        folder: Where weights go; a training that was stopped goes on from there.
        jobs: Processes.
        device: Where to train; None for the CPU.
        on_model: Told the name of each model that is done.

    Returns:
        The models, in the order of the pairs.
    """
    shares = [pairs[i::jobs] for i in range(min(jobs, len(pairs)))]  # one process for many models
    done = run_all(_train, [(share, folder, data, device) for share in shares], jobs=jobs, on_report=on_model)
    # In the order of the pairs again, which were dealt out to the processes in turn.
    return sorted((m for part in done for m in part), key=lambda m: pairs.index((m.recipe, m.seed)))


def _train(
    pairs: Sequence[tuple[Recipe, int]],
    folder: Path,
    data: Data,
    device: str | None,
    report: Callable[[str], None],
) -> list[Trained]:
    """Train some models, one after the other, in a process of its own."""
    # One thread each: processes share the cores, and weights repeat only with one number of threads.
    torch.set_num_threads(1)
    examples, held_out = load(data.train), load(data.test)
    trained = []
    for recipe, seed in pairs:
        name = f"{recipe.group}-s{seed}"
        path = folder / f"{name}.safetensors"
        result = run_recipe(recipe, seed, examples, held_out, path=path, device=device or "cpu")
        trained.append(Trained(name, recipe, seed, path, result))
        report(name)
    return trained


def describe(models: Sequence[Trained]) -> str:
    """Parameters, epochs and training loss of the models of one kind, for notes on what is compared."""
    first = models[0]
    count = sum(p.numel() for p in first.recipe.build(first.seed).parameters())
    loss = np.mean([m.result.train_loss for m in models])
    return (
        f"{first.recipe.group}: {count / 1000:.3g}k parameters, {first.result.epochs} epochs,"
        f" training loss {loss:.2g}"
    )
