"""Models that are the checkpoints of one training, for pictures along it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from landscape.base.along_training import Run, runs
from landscape.base.figure import Axis, FigureSpec, Line, Mark, Points

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Run", "along_training", "runs"]


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
