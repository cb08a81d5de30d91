"""Models that are the checkpoints of one training, and every number of theirs against its epochs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.base.figure import Axis, FigureSpec, Line, Mark, Points, Series
from landscape.base.interval import Interval
from landscape.base.metric import Metric
from landscape.base.panels import side_by_side
from landscape.trainings import PROGRESS, how_far, trainings

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Run", "numbers_along_training", "runs"]

MOST_PANELS = 12


@dataclass(frozen=True)
class Run:
    """The checkpoints of one training.

    Attributes:
        series: Its name and group.
        progress: ``epoch`` or ``step``.
        at: The epoch or step of each checkpoint, ascending (c,).
        datasets: Their results, in that order.
    """

    series: Series
    progress: str
    at: Any
    datasets: tuple[xr.Dataset, ...]


def runs(datasets: Mapping[str, xr.Dataset]) -> list[Run]:
    """The trainings of which there are several checkpoints, tagged with ``epoch`` or, failing that, ``step``.

    Which checkpoints are of one training, `landscape.trainings.trainings` says.
    """
    models = [_Model(label, ds) for label, ds in datasets.items()]
    of = trainings(models)
    for progress in PROGRESS:
        found: dict[str, list[tuple[float, str]]] = {}
        for model in models:
            at = dict(zip(PROGRESS, how_far(model.tags), strict=True))[progress]
            if at is not None and of[model.name]:
                found.setdefault(of[model.name], []).append((at, model.name))
        several = [sorted(points) for points in found.values() if len({at for at, _ in points}) > 1]
        if several:
            known = {model.name: model for model in models}
            return [_run(known[points[-1][1]], points, progress, datasets) for points in several]
    return []


class _Model:
    """What a result says of the model that it is about."""

    def __init__(self, name: str, ds: xr.Dataset) -> None:
        self.name = name
        self.group, self.run = str(ds.attrs.get("group", "")), str(ds.attrs.get("run", ""))
        self.seed = ds.attrs.get("model_seed")
        self.tags = dict(json.loads(ds.attrs.get("tags", "{}")))


def _run(
    model: _Model, points: Sequence[tuple[float, str]], progress: str, datasets: Mapping[str, xr.Dataset]
) -> Run:
    name = " ".join(filter(None, (model.group, "" if model.seed is None else f"seed {model.seed}")))
    return Run(
        Series(model=name or model.name, group=model.group),
        progress,
        np.array([at for at, _ in points]),
        tuple(datasets[label] for _, label in points),
    )


def numbers_along_training(
    title: str,
    datasets: Mapping[str, xr.Dataset],
    summary: Callable[[xr.Dataset], Sequence[Metric]],
) -> list[FigureSpec]:
    """Every number that sums up a result against epochs or steps, one panel for each.

    Nothing if no training has three checkpoints or more, or no number changes. Numbers that never change,
    such as the count of parameters, are left out; of more than `MOST_PANELS` the first are drawn.

    Args:
        title: Of the analysis.
        datasets: Results by model.
        summary: What sums up a result.
    """
    found = [run for run in runs(datasets) if len(run.at) > 2]
    numbers = [[{m.name: m for m in summary(ds)} for ds in run.datasets] for run in found]
    every = {name: metric for run in numbers for metrics in run for name, metric in metrics.items()}
    panels: list[FigureSpec] = []
    for name, metric in every.items():
        values = [[_number(metrics.get(name)) for metrics in run] for run in numbers]
        known = np.array([v for run in values for v in run])
        known = known[np.isfinite(known)]
        if known.size < 3 or np.ptp(known) == 0:
            continue
        marks: list[Mark] = []
        for run, at, metrics in zip(found, values, numbers, strict=True):
            marks.append(Line(run.at, at, run.series, markers=True))
            half = [m[name].error if name in m else float("nan") for m in metrics]
            if np.isfinite(half).any():
                marks.append(Points(run.at, at, run.series, half))
        unit = "" if metric.unit == "1" else metric.unit
        x, y = Axis(found[0].progress, limits=_reach(found)), Axis(name, unit)
        panels.append(FigureSpec(f"training_{len(panels)}", name, x, y, tuple(marks), "", INTERVAL))
    if not panels:
        return []
    drawn = panels[:MOST_PANELS]
    more = f" The first {len(drawn)} of {len(panels)}." if len(panels) > len(drawn) else ""
    caption = f"Every number that sums up a checkpoint, against the {found[0].progress}.{more}"
    return [side_by_side("over_training", f"{title}, over training", drawn, caption=caption)]


INTERVAL = Interval("of the measurement, not over training runs", mark="Bars")


def _reach(found: Sequence[Run]) -> tuple[float, float]:
    """From the first to the last epoch, with room for points at both."""
    low, high = min(run.at.min() for run in found), max(run.at.max() for run in found)
    return float(low - 0.03 * (high - low)), float(high + 0.03 * (high - low))


def _number(metric: Metric | None) -> float:
    found = None if metric is None else metric.number
    return float("nan") if found is None else found
