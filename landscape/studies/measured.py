"""What a run of a study has measured: `Measured` holds the results, for findings and figures to read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import xarray as xr

from landscape.studies.averages import Average
from landscape.studies.claims import LEVEL
from landscape.studies.data import Data
from landscape.studies.ensembles import Ensemble
from landscape.studies.training import Trained

__all__ = ["ENSEMBLE", "TRAINING", "Effect", "Measured", "Part"]

Effect = Callable[..., Any]
"""A number of a result, see `landscape.studies.effects`."""

TRAINING = "training"
"""What findings call the losses and accuracies of training."""

ENSEMBLE = "ensemble"
"""What findings and figures call deep ensembles of the seeds of each kind of model."""


@dataclass(frozen=True)
class Part:
    """What was measured on the models of one cohort.

    Attributes:
        name: Of the cohort.
        models: By recipe and then by seed.
        data: The examples.
        results: By label and subject: a model, a pair ``a ~ b``, a kind of models or an average.
        averages: Ensembles of its models.
    """

    name: str
    models: Sequence[Trained]
    data: Data
    results: Mapping[str, Mapping[str, xr.Dataset]]
    averages: Sequence[Average] = ()

    def of_kind(self, kind: str) -> list[Trained]:
        """The models of a kind, by seed."""
        return [m for m in self.models if m.recipe.group == kind]

    def average(self, kind: str) -> Average | None:
        """The average of a name."""
        return next((a for a in self.averages if a.name == kind), None)

    def subjects(self, kind: str) -> list[str]:
        """What results of a kind or of an average are of: one name per seed, or that of an average of all."""
        average = self.average(kind)
        if average is None:
            return [m.name for m in self.of_kind(kind)]
        return [average.member(m) for m in self.of_kind(average.kind)] if average.each else [kind]

    def of_model(self, of: str, effect: Effect, model: Trained) -> float:
        """An effect of the result of a model, or of the result of its kind on it; NaN without any."""
        if of == TRAINING:
            return float(effect(model.result))
        found = self.results.get(of, {})
        if model.name in found:
            return float(effect(found[model.name]))
        ds = found.get(model.recipe.group)
        return float("nan") if ds is None else float(effect(ds, model.name))

    def of_all(self, of: str, effect: Effect, kind: str) -> float:
        """An effect of an average, or its mean over the models of a kind; NaN without any."""
        numbers = self.numbers(of, effect, kind)
        return sum(numbers) / len(numbers) if numbers else float("nan")

    def numbers(self, of: str, effect: Effect, kind: str) -> list[float]:
        """An effect of each model of a kind, or of an average; NaN where there is no result."""
        if self.average(kind) is None:
            return [self.of_model(of, effect, model) for model in self.of_kind(kind)]
        found = [self.results.get(of, {}).get(name) for name in self.subjects(kind)]
        return [float("nan") if ds is None else float(effect(ds)) for ds in found]

    def of_pair(self, of: str, effect: Effect, a: Trained, b: Trained) -> float:
        """An effect of the result of two models, or of that of their kind on both; NaN without any."""
        found = self.results.get(of, {})
        for name in (f"{a.name} ~ {b.name}", f"{b.name} ~ {a.name}"):
            if name in found:
                return float(effect(found[name]))
        ds = found.get(a.recipe.group)
        return float("nan") if ds is None else float(effect(ds, a.name, b.name))


@dataclass
class Measured:
    """What was measured in a run of a study.

    Attributes:
        parts: By cohort, in their order.
        device: Where to predict; None for the CPU.
        tables: What was made of the results of several cohorts, by name.
        level: Of the intervals of claims, see `landscape.studies.claims.level_of`.
    """

    parts: Sequence[Part]
    device: str | None = None
    tables: dict[str, Any] = field(default_factory=dict)
    level: float = LEVEL
    _ensembles: dict[str, Ensemble] = field(default_factory=dict, repr=False)

    def models(self, kinds: Sequence[str] = ()) -> list[Trained]:
        """All models; with kinds, those of each, in that order."""
        everything = [m for part in self.parts for m in part.models]
        return [m for kind in kinds for m in everything if m.recipe.group == kind] if kinds else everything

    def results(
        self, of: str, kinds: Sequence[str] = (), cohorts: Sequence[str] = ()
    ) -> dict[str, xr.Dataset]:
        """Results by subject, of these kinds in that order, or of all; of these cohorts, or of all.

        Of subjects that several cohorts have, the last.
        """
        parts = list(self.named(cohorts) if cohorts else self.parts)
        found = {name: ds for part in parts for name, ds in part.results.get(of, {}).items()}
        if kinds:
            names = [name for kind in kinds for part in parts for name in (*part.subjects(kind), kind)]
        else:
            names = [m.name for m in self.models()] + list(found)
        return {name: found[name] for name in names if name in found}

    def apart(self, of: str, kinds: Sequence[str] = ()) -> dict[str, xr.Dataset]:
        """Results of each cohort, by ``<cohort>: <subject>``; of these kinds in that order, or of all."""
        found = {}
        for kind in kinds or ("",):
            for part in self.parts:
                results = part.results.get(of, {})
                for name in part.subjects(kind) if kind else results:
                    if name in results:
                        found[f"{part.name}: {name}"] = results[name]
        return found

    def numbers(self, of: str, effect: Effect, kind: str) -> list[float]:
        """An effect of every model of a kind, by seed; NaN where the analysis failed.

        Of an ensemble, whose numbers share models, they are those of the jackknife.
        """
        if of == ENSEMBLE:
            ensemble = self.ensemble(kind)
            return list(ensemble.by_seed(partial(effect, ensemble)))
        return [number for part in self.parts for number in part.numbers(of, effect, kind)]

    def by_cohort(self, of: str, effect: Effect, kind: str) -> list[float]:
        """An effect of a kind of models, or of an average, one number per cohort that has it."""
        having = [part for part in self.parts if part.subjects(kind)]
        return [part.of_all(of, effect, kind) for part in having]

    def ensemble(self, kind: str) -> Ensemble:
        """The deep ensemble of all seeds of a kind, on held-out examples."""
        if kind not in self._ensembles:
            part = next(p for p in self.parts if p.of_kind(kind))
            self._ensembles[kind] = Ensemble(part.of_kind(kind), part.data.test, self.device)
        return self._ensembles[kind]

    def named(self, names: Sequence[str]) -> Iterator[Part]:
        """The parts of these cohorts."""
        return (part for part in self.parts if part.name in names)
