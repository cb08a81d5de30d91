"""Findings: how two groups of a zoo differ, and what goes with the number that one wants to explain.

Every number that sums up a result of a single model is one row: its standardised difference between two
groups, with interval, and how it goes with an outcome, such as test accuracy, over all models. Predictives
are made of models and stand in no row; of the checkpoints of one training, which are no independent models,
the last stands for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from landscape.base.registry import find_recorded
from landscape.base.table import OUTCOMES
from landscape.core.stats.hypothesis import benjamini_hochberg
from landscape.core.stats.rank_association import Association, Design, associate, design_of
from landscape.core.stats.standardized_difference import Difference, standardized_difference
from landscape.errors import InputError, suggest
from landscape.export.sentences import plain_name
from landscape.trainings import ends_of_runs

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from landscape.base.analysis import Analysis, Metric
    from landscape.store.contents import Contents
    from landscape.store.records import ModelRecord

__all__ = [
    "Found",
    "Measured",
    "ModelTable",
    "Row",
    "SummaryOf",
    "default_pair",
    "findings",
    "found_in",
    "frame_of",
    "model_table",
    "models_apart",
    "summary_of",
]

Array = NDArray[np.float64]

TRAINING = "training"
"""The section of numbers that were recorded in training."""


@dataclass(frozen=True)
class Measured:
    """One number of every model.

    Attributes:
        section: Label of the section whose results it sums up; ``training`` for recorded numbers.
        analysis: Name of its analysis; empty for recorded numbers.
        name: Of the number.
        unit: Its unit.
        values: One for each model (n,); NaN where it was not measured, or is not finite.
        measured: Which models have a result (n,).
    """

    section: str
    analysis: str
    name: str
    unit: str
    values: Array
    measured: NDArray[np.bool_]

    @property
    def label(self) -> str:
        """Section and name: ``spectrum: λ max``."""
        return f"{self.section}: {self.name}"

    @property
    def said(self) -> str:
        """What a sentence calls it: ``spectrum: λ max``, and of what training recorded ``test loss``."""
        return plain_name(self.name if self.section == TRAINING else self.label)


@dataclass(frozen=True)
class ModelTable:
    """All numbers of the models of a zoo.

    Attributes:
        models: Their names (n).
        groups: The group of each (n).
        design: How groups and tags divide them.
        metrics: The numbers.
    """

    models: tuple[str, ...]
    groups: tuple[str, ...]
    design: Design
    metrics: tuple[Measured, ...]

    @property
    def kinds(self) -> tuple[str, ...]:
        """The groups, each once."""
        return tuple(dict.fromkeys(self.groups))

    def of(self, metric: Measured, group: str) -> Array:
        """What was measured of the models of a group."""
        return metric.values[np.array([g == group for g in self.groups], dtype=bool) & metric.measured]

    def compared(self, metric: Measured, pair: tuple[str, str]) -> Difference:
        """The difference of two groups."""
        return standardized_difference(self.of(metric, pair[0]), self.of(metric, pair[1]))

    def outcome(self, name: str | None = None) -> int | None:
        """The place of an outcome: by its name, with or without its section, or the accuracy that is known.

        Raises:
            InputError: If there is none of that name, or several.
        """
        if name is None:
            names = [m.name for m in self.metrics]
            known = (names.index(wanted) for wanted in OUTCOMES if wanted in names)
            return next(known, 0 if names else None)
        labels = [m.label for m in self.metrics]
        places = [i for i, m in enumerate(self.metrics) if name in (m.label, m.name)]
        if len(places) != 1:
            known_names = [*labels, *(m.name for m in self.metrics)]
            which = ", ".join(labels[i] for i in places)
            hint = f"say which: {which}." if places else suggest(name, known_names)
            raise InputError(f"outcome '{name}' is the name of {len(places) or 'no'} numbers; {hint}")
        return places[0]


@dataclass(frozen=True)
class Row:
    """What was found of one number: the difference of two groups, and how it goes with the outcome."""

    metric: Measured
    difference: Difference
    association: Association
    q: float


@dataclass(frozen=True)
class Found:
    """All that was found.

    Attributes:
        outcome: What is to be explained.
        groups: The two groups that are compared, the first less the second.
        difference: How they differ in the outcome.
        rows: The other numbers, those first that differ most; what cannot be told comes last.
        models: How many models there are.
        cells: How many cells they make: groups with their tags.
    """

    outcome: Measured
    groups: tuple[str, str]
    difference: Difference
    rows: tuple[Row, ...]
    models: int
    cells: int


def findings(
    store: str | Path,
    *,
    outcome: str | None = None,
    groups: Sequence[str] | None = None,
    zoo: str | None = None,
) -> pd.DataFrame:
    """How two groups of models differ in every number of every analysis, and what goes with an outcome.

    Numbers that sum up results of single models are compared, and those recorded in training. Models that
    were not measured are left out and the counts say so; a NaN that was measured stays one.

    Args:
        store: Folder of the results.
        outcome: The number to be explained, ``"test_accuracy"`` or ``"spectrum: λ max"``; by default the
            accuracy on held-out examples that was recorded, or else that of an analysis.
        groups: The two groups to compare; by default those whose outcomes differ most, of those whose
            difference is decided (p < 0.05), if there are any.
        zoo: Which zoo, by name, of a store that several manifests share.

    Returns:
        One row per number, index (section, metric), sorted by size: ``g`` (Hedges') with ``low`` and ``high``
        (95 %); of both groups counts ``n_1, n_2``, means ``mean_1, mean_2`` and standard errors ``se_1,
        se_2``; ``p`` (Welch) and ``q`` (Benjamini-Hochberg over all rows); ``tau`` with ``tau_low, tau_high``
        (Kendall, 95 % over cells) and ``models``; ``psi``, the granulated τ; ``worst_error`` in the
        environment ``worst``; ``unit`` and ``analysis``. Its ``attrs`` name outcome and groups.

    Raises:
        InputError: If the outcome or a group is unknown, or there are no two groups.
        StoreError: If the store cannot be read.
    """
    from landscape.store.contents import read_contents

    return frame_of(found_in(model_table(read_contents(store, zoo)), outcome, groups))


def frame_of(found: Found) -> pd.DataFrame:
    """The rows as a table of pandas; see `findings`."""
    import pandas as pd

    records = [_record(row) for row in found.rows]
    index = pd.MultiIndex.from_tuples(
        [(row.metric.section, row.metric.name) for row in found.rows], names=["section", "metric"]
    )
    frame = pd.DataFrame(records, index=index)
    frame.attrs = {"outcome": found.outcome.label, "groups": found.groups}
    return frame


def summary_of(analysis: Analysis, ds: xr.Dataset) -> Sequence[Metric]:
    """What sums up a result."""
    return analysis.summary(ds)


SummaryOf = Callable[["Analysis", "xr.Dataset"], Sequence["Metric"]]


def model_table(contents: Contents, summary: SummaryOf = summary_of) -> ModelTable:
    """All numbers of the models of a store; sections whose analysis is not installed here are left out.

    Args:
        contents: The store.
        summary: Sums up a result of an analysis.
    """
    models = models_apart(contents.models)
    places = {m.name: i for i, m in enumerate(models)}
    found: dict[tuple[str, str], dict[int, float]] = {}
    facts: dict[tuple[str, str], tuple[str, str]] = {}
    for i, model in enumerate(models):
        for name, value in model.metrics.items():
            found.setdefault((TRAINING, name), {})[i] = float(value)
            facts[TRAINING, name] = "", ""
    for section in contents.sections:
        try:
            analysis = find_recorded(section.analysis)
        except InputError:
            continue
        if analysis.scope != "checkpoint":
            continue
        for subject, ds in section.results.items():
            if subject not in places:
                continue
            try:
                metrics_of = summary(analysis, ds)
            except Exception:  # a result of an older version may lack what the summary reads
                continue
            for m in metrics_of:
                if m.number is not None:
                    found.setdefault((section.label, m.name), {})[places[subject]] = m.number
                    facts[section.label, m.name] = analysis.name, m.unit
    metrics = []
    for (label, name), numbers in found.items():
        values, measured = np.full(len(models), np.nan), np.zeros(len(models), dtype=bool)
        for i, value in numbers.items():
            values[i], measured[i] = value if np.isfinite(value) else np.nan, True
        of, unit = facts[label, name]
        metrics.append(Measured(label, of, name, "" if unit == "1" else unit, values, measured))
    groups = tuple(m.group for m in models)
    named = dict.fromkeys(t for m in models for t in m.tags)
    tags = {t: [_hashable(m.tags.get(t)) for m in models] for t in named}
    return ModelTable(tuple(places), groups, design_of({"group": groups, **tags}), tuple(metrics))


def models_apart(models: Sequence[ModelRecord]) -> list[ModelRecord]:
    """The models that are trainings of their own: no predictives, and of a training its last checkpoint."""
    last = ends_of_runs(models)
    return [m for m in models if not m.members and last[m.name]]


def _hashable(value: Any) -> Any:
    return value if isinstance(value, int | float | str | None) else str(value)


def found_in(table: ModelTable, outcome: str | None = None, groups: Sequence[str] | None = None) -> Found:
    """What a table shows; see `findings`.

    Raises:
        InputError: If the outcome or a group is unknown, or there are no two groups.
    """
    place = table.outcome(outcome)
    if place is None or len(table.kinds) < 2:
        raise InputError(
            "findings compare two groups of models in some number, and this zoo has"
            f" {len(table.kinds)} group(s), {len(table.models)} model(s) and {len(table.metrics)} number(s)."
        )
    target = table.metrics[place]
    pair = default_pair(table, target) if groups is None else _named(table, groups)
    rows = []
    for metric in table.metrics:
        if metric is not target:
            association = associate(metric.values, target.values, table.design)
            rows.append(Row(metric, table.compared(metric, pair), association, float("nan")))
    corrected = benjamini_hochberg([row.difference.p for row in rows])
    rows = [replace(row, q=float(q)) for row, q in zip(rows, corrected, strict=True)]
    rows.sort(key=lambda row: -abs(row.difference.g) if np.isfinite(row.difference.g) else np.inf)
    cells = int(table.design.cells.max()) + 1
    return Found(target, pair, table.compared(target, pair), tuple(rows), len(table.models), cells)


def default_pair(table: ModelTable, outcome: Measured) -> tuple[str, str]:
    """The two groups whose outcomes differ most, that of the larger mean first.

    Of pairs whose difference is decided (p < 0.05), if there are any, or else of those of two models or more;
    the first two groups where the outcome is not known.
    """
    best: tuple[tuple[bool, bool, float], tuple[str, str]] | None = None
    for a, b in combinations(table.kinds, 2):
        found = table.compared(outcome, (a, b))
        gap = found.means[0] - found.means[1]
        rank = (found.p < 0.05, min(found.counts) > 1, abs(gap))
        if np.isfinite(gap) and (best is None or rank > best[0]):
            best = rank, ((a, b) if gap >= 0 else (b, a))
    return best[1] if best else (table.kinds[0], table.kinds[1])


def _named(table: ModelTable, groups: Sequence[str]) -> tuple[str, str]:
    for group in groups:
        if group not in table.kinds:
            raise InputError(f"there is no group '{group}'; {suggest(group, table.kinds)}")
    if isinstance(groups, str) or len(set(groups)) != 2 or len(groups) != 2:
        raise InputError(f"groups takes two different groups, such as {list(table.kinds[:2])}.")
    return groups[0], groups[1]


def _record(row: Row) -> dict[str, Any]:
    d, a = row.difference, row.association
    both = {
        f"{name}_{i + 1}": pair[i]
        for name, pair in (("n", d.counts), ("mean", d.means), ("se", d.errors))
        for i in (0, 1)
    }
    return {
        "g": d.g,
        "low": d.low,
        "high": d.high,
        **both,
        "p": d.p,
        "q": row.q,
        "tau": a.tau,
        "tau_low": a.low,
        "tau_high": a.high,
        "models": a.models,
        "psi": a.psi,
        "worst_error": a.worst_error,
        "worst": a.worst,
        "unit": row.metric.unit,
        "analysis": row.metric.analysis,
    }
