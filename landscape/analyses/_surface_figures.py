"""Figures of ``surface``: contours of each model on shared axes and colours, slices of all on one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from landscape.figure import Axis, ColorAxis, FigureSpec, Heatmap, Line, Mark, Points, Series
from landscape.registry import loss_unit, series

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["figures"]

Array = NDArray[np.float64]

LOG_RATIO = 20.0
"""A colour scale is logarithmic if the largest value exceeds the smallest so many times."""


def figures(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Contours of loss and accuracy, one figure per model, and slices through the centre."""
    unit = loss_unit(datasets)
    several = len(datasets) > 1
    axes = _shared_axes(datasets)
    color = _shared_color("loss", unit, [_loss(ds) for ds in datasets.values()])
    specs = []
    for index, (label, ds) in enumerate(datasets.items()):
        suffix, who = (f"-{index + 1}", f": {label}") if several else ("", "")
        marks = (Heatmap(ds["x"].values, ds["y"].values, _loss(ds), color, True, series(label, ds)),)
        specs.append(
            FigureSpec(
                f"loss{suffix}",
                f"Loss surface{who}",
                *axes,
                (*marks, *_places(label, ds)),
                f"Loss L(θ + x d₁ + y d₂), weight-decay term included. {_how(ds)}",
                equal=_same_length(ds),
            )
        )
    specs += _slices(datasets, unit)
    shares = {label: ds for label, ds in datasets.items() if np.isfinite(ds["accuracy"].values).any()}
    color = ColorAxis("accuracy", limits=(0.0, 1.0))
    for index, (label, ds) in enumerate(datasets.items()):
        if label not in shares or not bool(ds["evaluated"].all()):
            continue
        suffix, who = (f"-{index + 1}", f": {label}") if several else ("", "")
        specs.append(
            FigureSpec(
                f"accuracy{suffix}",
                f"Accuracy over the plane{who}",
                *axes,
                (
                    Heatmap(
                        ds["x"].values, ds["y"].values, ds["accuracy"].values, color, True, series(label, ds)
                    ),
                    *_places(label, ds),
                ),
                f"Share of right answers at θ + x d₁ + y d₂. {_how(ds)}",
                equal=_same_length(ds),
            )
        )
    return specs


def _loss(ds: xr.Dataset) -> Array:
    values: Array = ds["loss_filled" if "loss_filled" in ds else "loss"].values
    return values


def _shared_axes(datasets: Mapping[str, xr.Dataset]) -> tuple[Axis, Axis]:
    """Axes that hold the grids of all models."""

    def axis(name: str, label: str) -> Axis:
        low = min(float(ds[name].min()) for ds in datasets.values())
        high = max(float(ds[name].max()) for ds in datasets.values())
        return Axis(label, "steps", limits=(low, high))

    return axis("x", "x along d₁"), axis("y", "y along d₂")


def _shared_color(label: str, unit: str, fields: Sequence[Array]) -> ColorAxis:
    """One colour axis for all fields: logarithmic if their values span decades."""
    values = np.concatenate([f[np.isfinite(f)] for f in fields])
    if not values.size:
        return ColorAxis(label, unit)
    low, high = float(values.min()), float(values.max())
    if low == high:
        return ColorAxis(label, unit)
    return ColorAxis(label, unit, "log" if 0 < LOG_RATIO * low < high else "linear", (low, high))


def _places(label: str, ds: xr.Dataset) -> list[Mark]:
    """The centre, or the checkpoints with their true loss and their distance from the plane."""
    if "marker_x" not in ds:
        return [Points([0.0], [0.0], Series(), texts=(f"centre: loss {float(ds['center_loss']):.4g}",))]
    x, y = ds["marker_x"].values, ds["marker_y"].values
    texts = tuple(
        f"checkpoint {i}: true loss {loss:.4g}, in the plane {near:.4g}, distance {far:.3g}"
        for i, (loss, near, far) in enumerate(
            zip(
                ds["marker_loss"].values,
                ds["marker_plane_loss"].values,
                ds["marker_distance"].values,
                strict=True,
            )
        )
    )
    points = Points(x, y, Series(), texts=texts)
    return [Line(x, y, Series()), points] if "explained" in ds else [points]


def _slices(datasets: Mapping[str, xr.Dataset], unit: str) -> list[FigureSpec]:
    """The row and the column of the grid through the centre, all models on one axis."""
    specs = []
    for name, other, what in (("x", "y", "first"), ("y", "x", "second")):
        marks = []
        for label, ds in datasets.items():
            if not bool(ds["evaluated"].all()) or not (ds[other].values == 0.0).any():
                continue
            cut = ds.sel({other: 0.0})
            loss, se = cut["loss"].values, cut["loss_change_se"].values
            band = (loss - 2 * se, loss + 2 * se) if np.isfinite(se).any() else (None, None)
            marks.append(Line(cut[name].values, loss, series(label, ds), *band))
        if marks:
            n = int(next(iter(datasets.values()))["examples"])
            specs.append(
                FigureSpec(
                    f"slice-{name}",
                    f"Loss along the {what} direction",
                    Axis(f"{name} along d{'₁' if name == 'x' else '₂'}", "steps"),
                    Axis("loss", unit),
                    tuple(marks),
                    f"The surface at {other} = 0. Bands: ±2 standard errors of the loss change from the"
                    f" centre, paired by example, over {n} examples.",
                )
            )
    return specs


def _same_length(ds: xr.Dataset) -> bool:
    """Whether both axes count the same unit of distance, so that they should be drawn to scale."""
    norms = ds["direction_norm"].values
    spans = [float(np.ptp(ds[n].values)) for n in ("x", "y")]
    return bool(abs(norms[0] / norms[1] - 1) < 1e-3 and max(spans) <= 3 * min(spans))


def _how(ds: xr.Dataset) -> str:
    """The part of a caption that says how the field was made."""
    total = ds["loss"].size
    parts = [f"Directions: {ds['plane'].item()}"]
    if "seed" in ds.attrs and "random" in str(ds["plane"].item()):
        parts[0] += f" (seed {ds.attrs['seed']})"
    parts[0] += f", {float(ds['direction_angle']):.1f}° apart, of norms " + " and ".join(
        f"{n:.3g}" for n in ds["direction_norm"].values
    )
    evaluated = int(ds["evaluations"])
    grid = f"{ds.sizes['x']} × {ds.sizes['y']} points"
    parts.append(grid if evaluated == total else f"{evaluated} of {grid} evaluated, the others interpolated")
    parts.append(f"{int(ds['examples'])} examples, the same at each point")
    se = ds["loss_change_se"].values
    if np.isfinite(se).any():
        parts.append(f"median standard error of the change from the centre {np.nanmedian(se):.2g}")
    missing = int((~np.isfinite(ds["loss"].values) & ds["evaluated"].values).sum())
    if missing:
        parts.append(f"{missing} points not finite, left blank")
    if ds["batchnorm_mode"].item() != "frozen":
        parts.append(f"BatchNorm: {ds['batchnorm_mode'].item()}")
    if "marker_x" in ds:
        parts.append("checkpoints are marked at their projections, with their true loss and distance")
    else:
        parts.append("the checkpoint is at (0, 0)")
    return "; ".join(parts) + "."
