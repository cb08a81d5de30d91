"""Rankings: every number of every model, held against what it is said to predict.

A ranking is a table as `landscape.generalisation` makes it: one row for each number that sums up the result
of an analysis of a single model. A finding says of one of them in which direction it goes with the outcome;
it has to hold beyond the cells that happen to be in the study (interval over cells) and beyond the seeds that
happen to be trained (jackknife over seeds).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

import landscape
from landscape.base.registry import find_recorded
from landscape.reference.training.checkpoints import load_weights
from landscape.studies.claims import Claim, above, jackknife
from landscape.studies.measured import TRAINING, Effect, Measured, Part
from landscape.studies.training import Trained

__all__ = ["Predicts", "Ranked", "Ranking", "distance_from_start"]


@dataclass(frozen=True)
class Ranked:
    """A ranking as measured.

    Attributes:
        what: What models differ in, such as ``width and weight decay``.
        dataset: The result of `landscape.generalisation`.
        without: The same without each of the seeds.
    """

    what: str
    dataset: xr.Dataset
    without: tuple[xr.Dataset, ...]


@dataclass(frozen=True)
class Ranking:
    """A table of all models of some cohorts and all their numbers.

    Attributes:
        name: What findings and figures call it.
        what: What models differ in.
        settings: The tags of a recipe that say so.
        outcome: What is to be predicted: a number of the training.
        cohorts: Whose models are its rows.
        others: Further numbers of a trained model, by name.
    """

    name: str
    what: str
    settings: tuple[str, ...]
    outcome: Effect
    cohorts: tuple[str, ...]
    others: Mapping[str, Callable[[Trained], float]] = field(default_factory=dict)

    def measure(self, measured: Measured) -> Ranked:
        """Rank with all seeds, and without each."""
        rows = [self._row(part, model) for part in measured.named(self.cohorts) for model in part.models]
        names = list(dict.fromkeys(name for row in rows for name in row))
        columns = {name: np.array([row.get(name, math.nan) for row in rows]) for name in names}
        seeds = columns.pop("seed")

        def ranked(kept: np.ndarray) -> xr.Dataset:
            table = {name: values[kept] for name, values in columns.items()}
            return landscape.generalisation(table, outcome=self._outcome, settings=self.settings)

        without = tuple(ranked(seeds != seed) for seed in np.unique(seeds))
        return Ranked(self.what, ranked(np.ones(len(rows), dtype=bool)), without)

    @property
    def _outcome(self) -> str:
        """Its name in the table and in pictures."""
        return getattr(self.outcome, "__name__", "outcome")

    def _row(self, part: Part, model: Trained) -> dict[str, float]:
        row = {"seed": float(model.seed), self._outcome: float(self.outcome(model.result))}
        row |= {name: float(model.recipe.tags[name]) for name in self.settings}
        row[f"{TRAINING}: train_loss"] = model.result.train_loss
        row |= {f"{TRAINING}: {name}": function(model) for name, function in self.others.items()}
        for label, results in part.results.items():
            if model.name in results:
                ds = results[model.name]
                for metric in find_recorded(str(ds.attrs["analysis"])).summary(ds):
                    if metric.number is not None:
                        row[f"{label}: {metric.name}"] = metric.number
        return row


@dataclass(frozen=True)
class Predicts:
    """The claim that the outcome rises or falls with a number, over the models of a ranking.

    Attributes:
        claim: What is said.
        of: The ranking.
        metric: The number's name in it.
        sign: 1 if the outcome is said to rise with it, -1 if to fall.
        granulated: Whether it is said setting by setting (ψ of Jiang et al. 2020) and not over all models;
            then seeds alone make the interval.
        paper: Where it is said, if not in the paper of the study.
    """

    claim: str
    of: str
    metric: str
    sign: int
    granulated: bool = False
    paper: str = ""
    kinds: tuple[str, ...] = ()

    def judge(self, measured: Measured, paper: str) -> Claim:
        """How it fared."""
        ranked: Ranked = measured.tables[self.of]
        row = ranked.dataset.sel(metric=self.metric)
        read = "psi" if self.granulated else "tau"
        without = [float(part[read].sel(metric=self.metric)) for part in ranked.without]
        low, high = float(row["tau_low"]), float(row["tau_high"])
        said = f"{int(row['models'])} models in {int(ranked.dataset['cells'])} cells"
        return above(
            self.claim,
            self.paper or paper,
            self.sign * jackknife(float(row[read]), without),
            unit=("granulated τ" if self.granulated else "Kendall's τ") + ", signed as claimed",
            note=said if self.granulated else f"{said}; first interval over cells",
            bootstrap=None if self.granulated else (low, high) if self.sign > 0 else (-high, -low),
            level=measured.level,
        )


def distance_from_start(model: Trained) -> float:
    """Euclidean distance of a trained model's weights from those that its training began with."""
    start, end = model.recipe.build(model.seed), model.recipe.build(model.seed)
    load_weights(end, model.path)
    pairs = zip(start.parameters(), end.parameters(), strict=True)
    return math.sqrt(sum(float((b.detach().double() - a.detach().double()).square().sum()) for a, b in pairs))
