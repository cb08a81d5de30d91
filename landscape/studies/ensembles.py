"""Deep ensembles of the seeds of a study: scores of averaged predictions of any of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from landscape.base.figure import Axis, FigureSpec, Line, Points, Series
from landscape.core.behaviour.calibration import Predictions
from landscape.reference.training.checkpoints import load_weights
from landscape.studies.claims import jackknife
from landscape.studies.data import load
from landscape.studies.training import Trained
from landscape.zoo.spec import Builder

__all__ = ["Ensemble", "figure"]

Array = NDArray[np.float64]

BATCH = 500  # examples predicted at a time


class Ensemble:
    """The predictions of trainings of one kind of model, one per seed, without dropout.

    Args:
        models: The trainings.
        data: The examples.
        device: Where to predict; None for the CPU.
    """

    def __init__(self, models: Sequence[Trained], data: Builder, device: str | None = None) -> None:
        inputs, labels = load(data)
        self.labels = labels.numpy()
        self.log_p = np.stack([_log_probabilities(m, inputs, device or "cpu") for m in models])
        self.members = range(len(models))

    def nll(self, members: Sequence[int]) -> float:
        """Mean negative log-likelihood of the mean prediction, nats/example."""
        return float(self._mean(members).nll.mean())

    def gain(self, members: Sequence[int]) -> float:
        """Accuracy of the mean prediction less the mean accuracy of the members."""
        alone = np.mean([self._mean([m]).correct.mean() for m in members])
        return float(self._mean(members).correct.mean() - alone)

    def by_seed(self, score: Callable[[Sequence[int]], float]) -> Array:
        """A score of the whole ensemble as one number per seed, by leaving each seed out."""
        without = [score([m for m in self.members if m != left]) for left in self.members]
        # members share networks between the leave-one-out scores, so intervals must be those of the jackknife
        return jackknife(score(list(self.members)), without)

    def _mean(self, members: Sequence[int]) -> Predictions:
        # The sum of probabilities will do for their mean: `of_logits` divides by the total.
        return Predictions.of_logits(np.logaddexp.reduce(self.log_p[list(members)]), self.labels)


@torch.no_grad()
def _log_probabilities(model: Trained, inputs: torch.Tensor, device: str) -> Array:
    network = model.recipe.build(model.seed).eval()
    load_weights(network, model.path)
    network.to(device)
    parts = [network(x.to(device)).double().log_softmax(-1).cpu() for x in torch.split(inputs, BATCH)]
    return np.asarray(torch.cat(parts).numpy())


def figure(by_kind: Mapping[str, Ensemble]) -> FigureSpec:
    """Mean over subsets, and every subset, against the number of networks."""
    marks: list[Any] = []
    for kind, ensemble in by_kind.items():
        sizes = np.arange(1, len(ensemble.members) + 1)
        found = [[ensemble.nll(s) for s in combinations(ensemble.members, int(size))] for size in sizes]
        who = Series(kind)
        marks.append(Line(sizes, [np.mean(values) for values in found], who, markers=True))
        marks.append(Points(np.repeat(sizes, [len(f) for f in found]), np.concatenate(found), who))
    return FigureSpec(
        "ensemble_nll",
        "Negative log-likelihood of deep ensembles",
        Axis("networks averaged"),
        Axis("negative log-likelihood", "nats/example"),
        tuple(marks),
        "Points: every subset of the training seeds; lines: their means. No dropout at test time.",
    )
