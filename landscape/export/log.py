"""Results in a tracker of experiments: their numbers, errors and figures, at the step they belong to."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landscape.base.along_training import runs
from landscape.base.registry import find_recorded
from landscape.errors import InputError
from landscape.export.trackers import tracker_of
from landscape.plotting import figures_of, find_backend
from landscape.plotting.palette import Palette
from landscape.trainings import PROGRESS

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr
    from numpy.typing import NDArray

    from landscape.base.metric import Metric

__all__ = ["log"]

_ODD = re.compile(r"[^\w./-]+")  # what no tracker takes in a name


@dataclass
class _Curve:
    """The results of one analysis, of one training or model."""

    name: str
    points: list[tuple[int, list[Metric]]] = field(default_factory=list)


def log(
    results: xr.Dataset | Mapping[str, xr.Dataset] | str | Path,
    to: Any,
    *,
    step: int | None = None,
    figures: bool = True,
) -> int:
    """Write the numbers that sum up results, their errors, and figures into a tracker of experiments.

    A number ``λ max`` of the analysis ``spectrum`` becomes ``spectrum/λ_max``, and half its 95 % interval,
    where there is one, ``spectrum/λ_max.error``; of several models ``spectrum/λ_max/MODEL``. Numbers of
    models that are moments of one training (tag ``epoch`` or ``step``) are one curve over it.

    Args:
        results: A result; a mapping of results of one analysis by name; or the folder of a store.
        to: Where to: a ``SummaryWriter`` of TensorBoard, a run of Weights & Biases (``wandb.init(...)``), the
            module ``mlflow`` (its active run) or one of its runs, an ``aim.Run``; or Lightning's logger of
            these.
        step: The step of what has no tag ``epoch`` or ``step``; by default 0.
        figures: Whether to draw and log the figures of each analysis, as pictures.

    Returns:
        How many numbers were logged, errors included.

    Raises:
        InputError: If results or tracker are of another kind.
        StoreError: If the store cannot be read.

    Example:
        >>> ds = landscape.spectrum(problem, k=5)               # doctest: +SKIP
        >>> landscape.log(ds, SummaryWriter("runs/a"), step=3)  # doctest: +SKIP
        12
    """
    tracker = tracker_of(to)
    count = 0
    for section, datasets in _sections(results):
        at = 0 if step is None else step
        for curve in _curves(section, datasets, at):
            for when, metrics in sorted(curve.points, key=lambda point: point[0]):
                numbers = dict(_numbers(curve.name, section, metrics))
                tracker.numbers(numbers, when)
                count += len(numbers)
                at = max(at, when)
        if figures:
            for name, picture in _pictures(datasets):
                tracker.picture(f"{_clean(section)}/{name}", picture, at)
    tracker.end()
    return count


def _sections(results: Any) -> Iterator[tuple[str, Mapping[str, xr.Dataset]]]:
    """Results by section, and of each by model."""
    import xarray as xr

    if isinstance(results, str | Path):
        from landscape.store.contents import read_contents

        found = read_contents(results).sections
        yield from ((s.label, s.results) for s in found if s.results)
        return
    if isinstance(results, xr.Dataset):
        results = {str(results.attrs.get("model", "")): results}
    if not isinstance(results, Mapping) or not results:
        raise InputError(
            "landscape.log takes a result, a mapping of results by name, or the folder of a store;"
            f" got {'an empty mapping' if results == {} else 'a ' + type(results).__name__}."
        )
    names = {str(getattr(ds, "attrs", {}).get("analysis", "")) for ds in results.values()}
    if len(names) > 1 or "" in names:
        raise InputError(
            "landscape.log takes results of one analysis at a time; log each analysis by itself."
        )
    first = next(iter(results.values()))
    yield str(first.attrs.get("label") or names.pop()), results


def _curves(section: str, datasets: Mapping[str, xr.Dataset], step: int) -> list[_Curve]:
    """One curve for each training, and one for each model that is a moment of none."""
    analysis = find_recorded(str(next(iter(datasets.values())).attrs["analysis"]))
    trainings = runs(datasets)
    taken = {id(ds) for run in trainings for ds in run.datasets}
    curves = [
        _Curve(
            run.series.model or run.series.group,
            [(int(at), list(analysis.summary(ds))) for at, ds in zip(run.at, run.datasets, strict=True)],
        )
        for run in trainings
    ]
    for name, ds in datasets.items():
        if id(ds) not in taken:
            curves.append(_Curve(name, [(_moment(ds, step), list(analysis.summary(ds)))]))
    if len(curves) == 1:
        curves[0].name = ""
    return curves


def _moment(ds: xr.Dataset, step: int) -> int:
    tags = json.loads(str(ds.attrs.get("tags", "{}")))
    found = next((tags[unit] for unit in PROGRESS if isinstance(tags.get(unit), int | float)), step)
    return int(found)


def _numbers(who: str, section: str, metrics: list[Metric]) -> Iterator[tuple[str, float]]:
    """Names and values; two numbers whose names are alike once they are cleaned keep apart."""
    seen: dict[str, int] = {}
    for metric in metrics:
        if metric.number is None:
            continue
        name = f"{_clean(section)}/{_clean(metric.name)}"
        seen[name] = seen.get(name, 0) + 1
        name += f"_{seen[name]}" if seen[name] > 1 else ""
        behind = f"/{_clean(who)}" if who else ""
        yield name + behind, metric.number
        if math.isfinite(metric.error):
            yield f"{name}.error{behind}", metric.error


def _clean(name: str) -> str:
    return _ODD.sub("_", name).strip("_") or "_"


def _pictures(datasets: Mapping[str, xr.Dataset]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Each figure as pixels (height, width, 3)."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    specs = figures_of(datasets)
    look, drawer = Palette.of(specs), find_backend("matplotlib")
    for spec in specs:
        canvas: Any = FigureCanvasAgg(drawer.draw(spec, look))
        canvas.draw()
        yield _clean(spec.name), np.asarray(canvas.buffer_rgba())[..., :3].copy()
