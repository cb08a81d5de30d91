"""Figures of ``surface``: contours of each model on shared axes and colours, slices of all on one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from landscape.analyses._shared.captions import error_bars, loss_unit, of_data, weight_decays
from landscape.analyses._shared.loss_colors import loss_colors
from landscape.analyses.surfaces._metrics import metric_names, slug
from landscape.analyses.surfaces.surface.minima import minima_figures
from landscape.base.figure import Axis, ColorAxis, FigureSpec, Heatmap, Line, Mark, Points, Series, series
from landscape.batchnorm_policy import normalise
from landscape.core.stats.intervals import reach

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["figures"]

Array = NDArray[np.float64]
Datasets = Mapping[str, "xr.Dataset"]


def figures(datasets: Datasets) -> Sequence[FigureSpec]:
    """Contours of loss and accuracy for each model, slices through the centre, losses of checkpoints."""
    unit = loss_unit(datasets)
    fields = {label: _loss(ds) for label, ds in datasets.items()}
    shares = {
        label: ds["accuracy"].values
        for label, ds in datasets.items()
        if bool(ds["evaluated"].all()) and np.isfinite(ds["accuracy"].values).any()
    }
    color = loss_colors(of_data(datasets), unit, fields.values())
    what = f"Loss L(θ + x d₁ + y d₂), {weight_decays(datasets)}."
    losses = _contours(datasets, fields, color, "loss", "Loss surface", what)
    return [
        *losses,
        *_slices(datasets, Axis(of_data(datasets), unit, color.scale)),
        *_checkpoints(datasets, Axis(of_data(datasets), unit, color.scale)),
        *_contours(
            datasets,
            shares,
            ColorAxis(of_data(datasets, "accuracy"), limits=(0.0, 1.0)),
            "accuracy",
            "Accuracy over the plane",
            "Share of right answers at θ + x d₁ + y d₂.",
        ),
        *_own(datasets),
        *minima_figures(datasets, dict(zip(fields, losses, strict=True)), Axis(of_data(datasets), unit)),
    ]


def _own(datasets: Datasets) -> list[FigureSpec]:
    """Metrics of the user's over the plane, all models in the same colours."""
    specs = []
    for name in metric_names(datasets):
        fields = {
            label: _between(ds, ds.sel(metric=name)["metric_value"].values)
            for label, ds in datasets.items()
            if name in metric_names({label: ds})
        }
        short = name.partition(":")[2]
        known = [field[np.isfinite(field)] for field in fields.values()]
        ends = [(part.min(), part.max()) for part in known if part.size]
        limits = (float(min(e[0] for e in ends)), float(max(e[1] for e in ends))) if ends else None
        what = f"Mean over examples of {name} at θ + x d₁ + y d₂;"
        what += " linear between the points that were evaluated."
        title = f"{short} over the plane"
        color = ColorAxis(short, limits=limits if limits and limits[0] < limits[1] else None)
        specs += _contours(datasets, fields, color, f"metric-{slug(name)}", title, what)
    return specs


def _between(ds: xr.Dataset, values: Array) -> Array:
    """Values on the whole grid: those that were not evaluated from the nearest three that were."""
    from scipy.interpolate import griddata

    known = np.isfinite(values)
    if known.all() or known.sum() < 3:
        return values
    y, x = np.meshgrid(ds["y"].values, ds["x"].values, indexing="ij")
    filled: Array = griddata((x[known], y[known]), values[known], (x, y), method="linear")
    return np.where(known, values, filled)


def _contours(
    datasets: Datasets, fields: Mapping[str, Array], color: ColorAxis, name: str, title: str, what: str
) -> list[FigureSpec]:
    """One figure for each field, all with the axes that hold all grids and the same colours."""
    axes = _shared_axes(datasets)
    specs = []
    for index, (label, ds) in enumerate(datasets.items()):
        if label not in fields:
            continue
        suffix, who = (f"-{index + 1}", f": {label}") if len(datasets) > 1 else ("", "")
        field = Heatmap(ds["x"].values, ds["y"].values, fields[label], color, True, series(label, ds))
        specs.append(
            FigureSpec(
                f"{name}{suffix}",
                f"{title}{who}",
                _explained(axes[0], ds, 0),
                _explained(axes[1], ds, 1),
                (field, *_places(ds)),
                f"{what} {_how(ds)}",
                equal=_same_length(ds),
            )
        )
    return specs


def _loss(ds: xr.Dataset) -> Array:
    values: Array = ds["loss_filled" if "loss_filled" in ds else "loss"].values
    return values


def _shared_axes(datasets: Datasets) -> tuple[Axis, Axis]:
    def axis(name: str, label: str) -> Axis:
        low = min(float(ds[name].min()) for ds in datasets.values())
        high = max(float(ds[name].max()) for ds in datasets.values())
        return Axis(label, "steps", limits=(low, high))

    return axis("x", "x along d₁"), axis("y", "y along d₂")


def _explained(axis: Axis, ds: xr.Dataset, index: int) -> Axis:
    """An axis of a trajectory with what it explains of it."""
    if "explained" not in ds:
        return axis
    share = f"{float(ds['explained'][index]):.1%}".replace("%", " %")
    last = "last checkpoint" in ds["plane"].item()
    what = "squared distances from the last checkpoint" if last else "variance"
    return replace(axis, label=f"{axis.label}, {share} of the {what}")


def _places(ds: xr.Dataset) -> list[Mark]:
    """The centre, or the checkpoints with their true loss and their distance from the plane."""
    if "marker_x" not in ds:
        return [Points([0.0], [0.0], Series(), texts=(f"centre: loss {float(ds['center_loss']):.4g}",))]
    x, y = ds["marker_x"].values, ds["marker_y"].values
    numbers = zip(*(ds[f"marker_{n}"].values for n in ("loss", "plane_loss", "distance")), strict=True)
    texts = tuple(
        f"checkpoint {i}: true loss {true:.4g}, in the plane {near:.4g}, distance {far:.3g}"
        for i, (true, near, far) in enumerate(numbers)
    )
    points = Points(x, y, Series(), texts=texts)
    return [Line(x, y, Series()), points] if "explained" in ds else [points]


def _slices(datasets: Datasets, loss: Axis) -> list[FigureSpec]:
    """The row and the column of the grid through the centre, all models on one axis."""
    specs = []
    for name, other, what in (("x", "y", "first"), ("y", "x", "second")):
        marks: list[Mark] = []
        for label, ds in datasets.items():
            if not bool(ds["evaluated"].all()) or not (ds[other].values == 0.0).any():
                continue
            cut = ds.sel({other: 0.0})
            values, half = cut["loss"].values, reach(int(ds["examples"])) * cut["loss_change_se"].values
            low, high = (values - half, values + half) if np.isfinite(half).any() else (None, None)
            marks.append(Line(cut[name].values, values, series(label, ds), low, high))
        if marks:
            n = int(next(iter(datasets.values()))["examples"])
            specs.append(
                FigureSpec(
                    f"slice-{name}",
                    f"Loss along the {what} direction",
                    Axis(f"{name} along d{'₁' if name == 'x' else '₂'}", "steps"),
                    loss,
                    tuple(marks),
                    f"The surface at {other} = 0; {n} examples.",
                    error_bars(_counts(datasets), "of the loss change from the centre, paired by example"),
                )
            )
    return specs


def _checkpoints(datasets: Datasets, loss: Axis) -> list[FigureSpec]:
    """The true losses of a run's checkpoints beside those of their projections."""
    marks: list[Mark] = []
    for label, ds in datasets.items():
        if "explained" not in ds:
            continue
        who, index = series(label, ds), np.arange(ds.sizes["marker"])
        true = ds["marker_loss"].values
        half = reach(int(ds["examples"])) * ds["marker_loss_se"].values
        low, high = (true - half, true + half) if np.isfinite(half).any() else (None, None)
        marks.append(Line(index, true, who, low, high, markers=True))
        projected = Series(who.model, who.group, f"{label}, projected")
        marks.append(Line(index, ds["marker_plane_loss"].values, projected, style="dot"))
    if not marks:
        return []
    return [
        FigureSpec(
            "checkpoints",
            "True loss of the checkpoints and loss at their projections",
            Axis("checkpoint"),
            loss,
            tuple(marks),
            "Solid: loss of each checkpoint itself. Dotted: loss of its projection onto the plane; where they"
            " part, the plane does not show the run.",
            error_bars(_counts(datasets), "over examples"),
        )
    ]


def _counts(datasets: Datasets) -> list[int]:
    """How many examples each result has."""
    return [int(ds["examples"]) for ds in datasets.values()]


def _same_length(ds: xr.Dataset) -> bool:
    """Whether both axes count the same unit of distance, so that they should be drawn to scale."""
    norms = ds["direction_norm"].values
    spans = [float(np.ptp(ds[n].values)) for n in ("x", "y")]
    # A strip, which spans of very unlike length would make to scale, shows less than a picture that is not.
    return bool(abs(norms[0] / norms[1] - 1) < 1e-3 and max(spans) <= 3 * min(spans))


def _how(ds: xr.Dataset) -> str:
    """The part of a caption that says how the field was made."""
    plane = ds["plane"].item()
    seed = f" (seed {ds.attrs['seed']})" if "seed" in ds.attrs and "random" in plane else ""
    norms = " and ".join(f"{n:.3g}" for n in ds["direction_norm"].values)
    grid, evaluated = f"{ds.sizes['x']} × {ds.sizes['y']} points", int(ds["evaluations"])
    parts = [
        f"Directions: {plane}{seed}, {float(ds['direction_angle']):.1f}° apart, of norms {norms}",
        grid if evaluated == ds["loss"].size else f"{evaluated} of {grid} evaluated, the others interpolated",
        f"{int(ds['examples'])} examples, the same at each point",
    ]
    se = ds["loss_change_se"].values
    if np.isfinite(se).any():
        parts.append(f"median standard error of the change from the centre {np.nanmedian(se):.2g}")
    missing = int((~np.isfinite(ds["loss"].values) & ds["evaluated"].values).sum())
    if missing:
        parts.append(f"{missing} points not finite, left blank")
    policy = normalise(ds["batchnorm_mode"].item())
    if policy != "checkpoint":
        parts.append(f"BatchNorm: {policy}")
    marked = "checkpoints are marked at their projections, with their true loss and distance"
    parts.append(marked if "marker_x" in ds else "the checkpoint is at (0, 0)")
    return "; ".join(parts) + "."
