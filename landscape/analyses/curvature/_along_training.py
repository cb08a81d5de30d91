"""Models that are the checkpoints of one training, for pictures along it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.base.figure import Axis, FigureSpec, Line, Mark, Points, Series

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Run", "along_training", "runs"]

PROGRESS = ("epoch", "step")
"""Tags that say how far a training had come."""


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

    Checkpoints of one training share their group, seed and all other tags.
    """
    for progress in PROGRESS:
        found: dict[str, list[tuple[float, str]]] = {}
        for label, ds in datasets.items():
            tags = dict(json.loads(ds.attrs.get("tags", "{}")))
            at = tags.get(progress)
            if isinstance(at, int | float) and not isinstance(at, bool):
                others = {k: v for k, v in tags.items() if k not in PROGRESS}
                who = (str(ds.attrs.get("group", "")), str(ds.attrs.get("model_seed", "")), others)
                found.setdefault(json.dumps(who), []).append((float(at), label))
        several = {who: sorted(points) for who, points in found.items() if len({at for at, _ in points}) > 1}
        if several:
            return [_run(who, points, progress, datasets) for who, points in several.items()]
    return []


def _run(
    who: str, points: Sequence[tuple[float, str]], progress: str, datasets: Mapping[str, xr.Dataset]
) -> Run:
    group, seed, _ = json.loads(who)
    name = " ".join(part for part in (group, f"seed {seed}" if seed else "") if part)
    last = points[-1][1]
    return Run(
        Series(model=name or last, group=group),
        progress,
        np.array([at for at, _ in points]),
        tuple(datasets[label] for _, label in points),
    )


def along_training(datasets: Mapping[str, xr.Dataset], figure: FigureSpec, variable: str) -> list[FigureSpec]:
    """A variable against epochs or steps; nothing if no training has several checkpoints.

    Args:
        datasets: Results by model.
        figure: Name, title, vertical axis and caption of the picture.
        variable: A scalar, drawn as a curve, or several values: points, and a curve through the largest.
    """
    found = runs(datasets)
    if not found:
        return []
    marks: list[Mark] = []
    for run in found:
        values = [np.atleast_1d(ds[variable].values) for ds in run.datasets]
        marks.append(Line(run.at, [v.max() for v in values], run.series, markers=True))
        if max(map(len, values)) > 1:
            at = np.repeat(run.at, [len(v) for v in values])
            marks.append(Points(at, np.concatenate(values), run.series))
    return [
        FigureSpec(figure.name, figure.title, Axis(found[0].progress), figure.y, tuple(marks), figure.caption)
    ]
