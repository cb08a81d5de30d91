"""Figures of ``connect``: profiles along the paths of a pair, all pairs on one axis, the curve's plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from landscape.analyses._shared.captions import data_word, error_bars, loss_unit, of_data, weight_decays
from landscape.analyses._shared.loss_colors import loss_colors
from landscape.base.figure import (
    Axis,
    ColorAxis,
    FigureSpec,
    Guide,
    Heatmap,
    Line,
    Mark,
    Points,
    Series,
    series,
)
from landscape.core.stats.intervals import reach

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["figures"]

Array = NDArray[np.float64]
Style = Literal["solid", "dash", "dot"]

MOST_OBLONG = 3.0
"""A plane this many times wider than high is not drawn to scale."""

PLACE = Axis("place on the path t, 0 = first model, 1 = second")


def figures(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Loss and error along every path of each pair, gaps of all pairs together, planes with the curve."""
    unit = loss_unit(datasets)
    specs = [_gaps(datasets, unit)]
    planes = [ds["plane_loss"].values for ds in datasets.values() if "plane_loss" in ds]
    color = loss_colors("loss", unit, planes)
    scale = loss_colors("loss", unit, [ds["loss"].values for ds in datasets.values()]).scale
    along = Axis("loss", unit, scale)
    for index, (label, ds) in enumerate(datasets.items()):
        specs.append(
            _profile(
                f"loss_{index}",
                f"Loss along paths: {label}",
                ds,
                "loss",
                along,
                _note(ds),
            )
        )
        if np.isfinite(ds["error"].values).any():
            specs.append(
                _profile(
                    f"error_{index}",
                    f"Error along paths: {label}",
                    ds,
                    "error",
                    Axis("error", "%"),
                    _note(ds),
                )
            )
        if "plane_loss" in ds:
            specs.append(_plane(f"plane_{index}", f"Plane of the curve: {label}", ds, color))
    return specs


def _note(ds: xr.Dataset) -> str:
    """The part of a caption that says how the profiles were made."""
    n = " and ".join(f"{int(c)} {s}" for c, s in zip(ds["examples"].values, _names(ds, "split"), strict=True))
    ratios = ", ".join(
        f"{p} {r:.2f}" for p, r in zip(_names(ds, "path"), ds["arc_ratio"].values, strict=True)
    )
    return f"{n} examples. BatchNorm: {ds['batchnorm_policy'].item()}. Length over chord: {ratios}."


def _names(ds: xr.Dataset, dim: str) -> list[str]:
    return [str(name) for name in ds[dim].values]


def _profile(name: str, title: str, ds: xr.Dataset, what: str, y: Axis, note: str) -> FigureSpec:
    """One quantity along every path, on every split."""
    marks: list[Mark] = []
    styles: tuple[Style, ...] = ("solid", "dash")
    for path in _names(ds, "path"):
        for split, style in zip(_names(ds, "split"), styles, strict=False):
            part = ds.sel(path=path, split=split)
            value = part[what].values
            half = reach(int(part["examples"])) * part[f"{what}_gap_se"].values
            low, high = (value - half, value + half) if np.isfinite(half).any() else (None, None)
            who = Series(path, label=f"{path}, {data_word(ds, split)}")
            marks.append(Line(part["t"].values, value, who, low, high, style=style))
    words = [data_word(ds, split) for split in _names(ds, "split")]
    splits = "; ".join(f"{word}: {style}" for word, style in zip(words, styles, strict=False))
    over = "of the gap to the straight line between the end values, paired by example"
    errors = error_bars(map(int, ds["examples"].values), over)
    return FigureSpec(name, title, PLACE, y, tuple(marks), f"{splits}. {note}", errors)


def _gaps(datasets: Mapping[str, xr.Dataset], unit: str) -> FigureSpec:
    """What the loss of every pair and path has above its chord."""
    marks: list[Mark] = [Guide(y=0.0)]
    styles: tuple[Style, ...] = ("solid", "dash", "dot")
    shown: dict[str, Style] = {}
    for label, ds in datasets.items():
        who = series(label, ds)
        for path in _names(ds, "path"):
            style = shown.setdefault(path, styles[min(len(shown), 2)])
            part = ds.sel(path=path, split="train")
            t, loss = part["t"].values, part["loss"].values
            half = reach(int(part["examples"])) * part["loss_gap_se"].values
            gap = loss - ((1 - t) * loss[0] + t * loss[-1])
            low, high = (gap - half, gap + half) if np.isfinite(half).any() else (None, None)
            named = Series(who.model, who.group, f"{label}: {path}")
            marks.append(Line(t, gap, named, low, high, style=style))
    return FigureSpec(
        "gaps",
        f"Barriers: {of_data(datasets)} above the chord",
        PLACE,
        Axis("loss above the chord", unit),
        tuple(marks),
        f"E(t) − ((1 − t) E(0) + t E(1)) of the {of_data(datasets)}; its largest value is the barrier.",
        error_bars((int(ds["examples"].sel(split="train")) for ds in datasets.values()), "paired by example"),
    )


def _plane(name: str, title: str, ds: xr.Dataset, color: ColorAxis) -> FigureSpec:
    """The loss over the plane through both models and the bend, with the chord and the curve."""
    z = ds["plane_loss"].values
    chord = float(ds["chord"][-1])
    x, y = ds["curve_x"].values, ds["curve_y"].values
    kind = str(ds["path"].values[-1])
    oblong = float(np.ptp(ds["plane_x"].values)) > MOST_OBLONG * float(np.ptp(ds["plane_y"].values))
    scale = " The axes are not drawn to one scale." if oblong else ""
    marks: tuple[Mark, ...] = (
        Heatmap(ds["plane_x"], ds["plane_y"], z, color, True),
        Line([0.0, chord], [0.0, 0.0], Series("line", label="straight line"), style="dot"),
        Line(x, y, Series(kind, label=kind)),
        Points([0.0, chord], [0.0, 0.0], Series("ends", label="the models"), texts=("a", "b")),
        Points(ds["bend_x"].values, ds["bend_y"].values, Series("bends", label="inner control points")),
    )
    return FigureSpec(
        name,
        title,
        Axis("distance from the first model towards the second"),
        Axis("distance from the chord"),
        marks,
        f"Training loss, {weight_decays({name: ds})}, over the plane through both models and the bend;"
        f" distances in parameter space. The curve leaves the plane by {float(ds['curve_distance']):.2g} at"
        f" most.{scale}",
        equal=not oblong,
    )
