"""Pictures of ``taxonomy``: the phase diagram, its fields with thresholds, and correlations."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from landscape.base.figure import Axis, ColorAxis, FigureSpec, Guide, Heatmap, Line, Mark, Points, Series
from landscape.base.interval import Interval

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[np.float64]

SYMBOLS = {"I": "cross", "II": "triangle", "III": "square", "IV-A": "diamond", "IV-B": "circle"}
MEANINGS = {
    "I": "sharp, poorly connected",
    "II": "sharp, connected",
    "III": "flat, poorly connected",
    "IV-A": "flat, connected, dissimilar",
    "IV-B": "flat, connected, similar",
}
FIELDS = {
    "test_accuracy": ("test accuracy", "", "sequential"),
    "log_top_eigenvalue": ("ln λ_max", "", "sequential"),
    "mode_connectivity": ("mode connectivity", "percentage points", "diverging"),
    "cka": ("CKA", "", "sequential"),
    "training_loss": ("training loss", "nats/example", "sequential"),
    "l2_distance": ("ℓ2 distance", "", "sequential"),
}
BORDERS = {"log_top_eigenvalue": 0, "mode_connectivity": 1, "cka": 2}  # the threshold drawn in each field
LABELS = {**{name: label for name, (label, *_) in FIELDS.items()}, "log_trace": "ln trace"}
LABELS["|mode_connectivity|"] = "|mode connectivity|"


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """For each grid: phases, fields, the plane of sharpness and connectivity, correlations, means."""
    figures: list[FigureSpec] = []
    for index, (label, ds) in enumerate(datasets.items()):
        end = f": {label}" if len(datasets) > 1 else ""
        tag = f"_{index}" if len(datasets) > 1 else ""
        figures += [_phase_diagram(ds, tag, end)]
        figures += [_field(ds, name, tag, end) for name in FIELDS if np.isfinite(ds[name].values).any()]
        figures += [_plane(ds, tag, end), _correlations(ds, tag, end), _means(ds, tag, end)]
    return figures


def _unit(ds: xr.Dataset) -> str:
    """The unit of the table's accuracies, which are shares or percents: a share is no more than one."""
    return "%" if (ds["test_accuracy"].values > 1).any() else ""


def _text(value: float) -> str:
    """Three digits, with a minus where `format` has a hyphen."""
    return f"{value:.3g}".replace("-", "−")


class _Grid:
    """Cells as a table of load (columns) and temperature (rows), at places 0, 1, 2, ..."""

    def __init__(self, ds: xr.Dataset) -> None:
        self.loads, self.columns = np.unique(ds["load"].values, return_inverse=True)
        self.temperatures, self.rows = np.unique(ds["temperature"].values, return_inverse=True)
        names = json.loads(ds.attrs["parameters"])["columns"]
        self.x = _categories(names.get("load", "load"), [f"{v:g}" for v in self.loads])
        self.y = _categories(names.get("temperature", "temperature"), [f"{v:g}" for v in self.temperatures])

    def field(self, values: Any) -> Array:
        """Values by (temperature, load); NaN where there is no cell."""
        z = np.full((len(self.temperatures), len(self.loads)), np.nan)
        z[self.rows, self.columns] = values
        return z

    def heatmap(self, values: Any, color: ColorAxis) -> Heatmap:
        z = self.field(values)
        return Heatmap(np.arange(z.shape[1]), np.arange(z.shape[0]), z, color)

    def border(self, values: Any, threshold: float, label: str) -> Line:
        """Edges between cells on different sides of a threshold; a missing cell follows the nearest one."""
        from scipy.ndimage import distance_transform_edt

        z = self.field(values)
        nearest = distance_transform_edt(~np.isfinite(z), return_distances=False, return_indices=True)
        side = (z > threshold).astype(int)[tuple(nearest)]
        x: list[float] = []
        y: list[float] = []
        for row, column in zip(*np.nonzero(np.abs(np.diff(side, axis=1)) == 1), strict=True):
            x += [column + 0.5, column + 0.5, np.nan]
            y += [row - 0.5, row + 0.5, np.nan]
        for row, column in zip(*np.nonzero(np.abs(np.diff(side, axis=0)) == 1), strict=True):
            x += [column - 0.5, column + 0.5, np.nan]
            y += [row + 0.5, row + 0.5, np.nan]
        return Line(x, y, Series(label=label), style="solid")


def _categories(label: str, names: Sequence[str]) -> Axis:
    """An axis of named places with room for a cell, or a point, at either end."""
    return Axis(label.replace("_", " "), categories=tuple(names), limits=(-0.5, len(names) - 0.5))


def _phase_points(ds: xr.Dataset, x: Any, y: Any) -> list[Mark]:
    """One mark for each phase that occurs."""
    phase = ds["phase"].values
    return [
        Points(
            np.asarray(x)[phase == name],
            np.asarray(y)[phase == name],
            Series(model=name, label=f"{name}: {MEANINGS[name]}"),
            symbols=(symbol,) * int((phase == name).sum()),
        )
        for name, symbol in SYMBOLS.items()
        if (phase == name).any()
    ]


def _note(ds: xr.Dataset) -> str:
    parts = []
    low, high = ds["threshold_low"].values, ds["threshold_high"].values
    for i, name in enumerate(("ln λ_max", "mode connectivity", "CKA")):
        origin = (
            "given"
            if ds["threshold_given"].values[i]
            else f"data-driven, {_text(low[i])} to {_text(high[i])}"
        )
        parts.append(f"{name} {_text(ds['threshold'].values[i])} ({origin})")
    return f"Thresholds: {'; '.join(parts)}. Empty: not measured or undecided."


def _phase_diagram(ds: xr.Dataset, tag: str, end: str) -> FigureSpec:
    grid = _Grid(ds)
    color = ColorAxis("test accuracy", _unit(ds))
    return FigureSpec(
        f"phases{tag}",
        f"Phases{end}",
        grid.x,
        grid.y,
        (
            grid.heatmap(ds["test_accuracy"].values, color),
            *_phase_points(ds, grid.columns, grid.rows),
        ),
        f"Symbols: phase of each cell; colour: its test accuracy. {_note(ds)}",
    )


def _field(ds: xr.Dataset, name: str, tag: str, end: str) -> FigureSpec:
    grid = _Grid(ds)
    label, unit, kind = FIELDS[name]
    unit = _unit(ds) if name == "test_accuracy" else unit
    color = ColorAxis(label, unit, kind="diverging" if kind == "diverging" else "sequential")
    marks: list[Mark] = [grid.heatmap(ds[name].values, color)]
    title = label if label.startswith("ln") else f"{label[0].upper()}{label[1:]}"
    caption = f"{label} of each cell."
    at = float(ds["threshold"].values[BORDERS[name]]) if name in BORDERS else float("nan")
    if np.isfinite(at):
        marks.append(grid.border(ds[name].values, at, f"{label} = {_text(at)}"))
        title += f" (line: threshold, {_text(at)})"
        caption = f"{label} of each cell; the line parts cells above and below its threshold, {_text(at)}."
    return FigureSpec(f"{name}{tag}", f"{title}{end}", grid.x, grid.y, tuple(marks), caption)


def _plane(ds: xr.Dataset, tag: str, end: str) -> FigureSpec:
    sharp, connected, _ = (float(v) for v in ds["threshold"].values)
    x, y = ds["log_top_eigenvalue"].values, ds["mode_connectivity"].values
    guides = [Guide(y=connected, label=_text(connected))]
    guides += [Guide(x=sharp, label=_text(sharp))] if np.isfinite(sharp) else []
    return FigureSpec(
        f"plane{tag}",
        f"Sharpness and connectivity{end}",
        Axis("ln λ_max"),
        Axis("mode connectivity", "percentage points", scale="symlog"),
        (*_phase_points(ds, x, y), *guides),
        f"Every cell; dashed lines: thresholds. {_note(ds)}",
    )


def _correlations(ds: xr.Dataset, tag: str, end: str) -> FigureSpec:
    value = ds["spearman"].values
    known = np.flatnonzero(np.isfinite(value))
    order = known[np.argsort(value[known])]
    marks = _intervals(*(ds[n].values[order] for n in ("spearman", "spearman_low", "spearman_high")))
    names = [LABELS[str(ds["metric"].values[i])] for i in order]
    level = json.loads(ds.attrs["parameters"])["confidence"]
    return FigureSpec(
        f"correlations{tag}",
        f"Correlation with test accuracy{end}",
        _categories("metric", names),
        Axis("Spearman's ρ", limits=(-1.05, 1.05)),
        (*marks, Guide(y=0.0)),
        "Rank correlations over cells.",
        errors=Interval("over cells", "by the bootstrap", "Bars", level),
    )


def _means(ds: xr.Dataset, tag: str, end: str) -> FigureSpec:
    names = ("phase_accuracy", "phase_accuracy_low", "phase_accuracy_high")
    level = json.loads(ds.attrs["parameters"])["confidence"]
    cells = ds["phase_cells"].values
    kinds = [f"{name} ({n})" for name, n in zip(ds["kind"].values, cells, strict=True)]
    return FigureSpec(
        f"phase_accuracy{tag}",
        f"Test accuracy by phase{end}",
        _categories("phase (number of cells)", kinds),
        Axis("mean test accuracy", _unit(ds)),
        tuple(_intervals(*(ds[n].values for n in names))),
        "Means over the cells of a phase.",
        errors=Interval("over cells", "by the bootstrap", "Bars", level),
    )


def _intervals(value: Array, low: Array, high: Array) -> list[Mark]:
    """Points at 0, 1, 2, ... with unequal bars."""
    places = np.arange(value.size, dtype=float)
    # A line with gaps, since the bars of `Points` reach equally far up and down.
    gap = np.full_like(places, np.nan)
    x = np.stack([places, places, gap], axis=1).ravel()
    y = np.stack([low, high, gap], axis=1).ravel()
    lower, upper = (np.stack([end, end, gap], axis=1).ravel() for end in (low, high))
    return [Line(x, y, low=lower, high=upper, style="solid"), Points(places, value)]
