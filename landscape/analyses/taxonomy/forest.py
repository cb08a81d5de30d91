"""Pictures of ``generalisation``: a forest of rank correlations, and those setting by setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np

from landscape.base.figure import Axis, ColorAxis, FigureSpec, Guide, Heatmap, Line, Mark, Points, Series
from landscape.base.interval import Interval

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["ROWS", "plots"]

ROWS = 24
"""Most numbers in a picture: those that go with the outcome most. The table holds all."""

LINE = 44  # characters of a name on one line


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """For each table: a forest of τ with ψ, and τ setting by setting where there are several settings."""
    figures: list[FigureSpec] = []
    for index, (label, ds) in enumerate(datasets.items()):
        end = f": {label}" if len(datasets) > 1 else ""
        tag = f"_{index}" if len(datasets) > 1 else ""
        figures.append(_forest(ds, tag, end))
        if ds.sizes["axis"] > 1:
            figures.append(_settings(ds, tag, end))
    return figures


def _outcome(ds: xr.Dataset) -> str:
    name = str(ds["outcome"].item())
    return (name.partition(": ")[2] or name).replace("_", " ")


def _drawn(ds: xr.Dataset) -> xr.Dataset:
    """The first rows, the strongest at the top."""
    return ds.isel(metric=slice(0, ROWS)).isel(metric=slice(None, None, -1))


def _rows(ds: xr.Dataset) -> Axis:
    names = tuple("\n".join(wrap(str(name).replace("_", " "), LINE)) for name in ds["metric"].values)
    return Axis("number", categories=names, limits=(-0.7, len(names) - 0.3))


def _cut(ds: xr.Dataset) -> str:
    count = ds.sizes["metric"]
    return f" The {ROWS} strongest of {count} numbers." if count > ROWS else ""


def _forest(ds: xr.Dataset, tag: str, end: str) -> FigureSpec:
    rows = _drawn(ds)
    tau, low, high, psi = (rows[n].values for n in ("tau", "tau_low", "tau_high", "psi"))
    place = np.arange(tau.size, dtype=np.float64)
    gap = np.full_like(place, np.nan)
    x, y = np.stack([low, high, gap], axis=1).ravel(), np.stack([place, place, gap], axis=1).ravel()
    all_models = Series("", label="τ, all models")
    texts = [f"{m} models" for m in rows["models"].values]
    # Errors of points are vertical. The band of no height says to the caption that the line is an interval.
    marks: list[Mark] = [
        Guide(x=0.0),
        Line(x, y, all_models, low=y, high=y, style="solid"),
        Points(tau, place, all_models, texts=tuple(texts), symbols=("circle",) * tau.size),
    ]
    if np.isfinite(psi).any():
        pairs = zip(rows["worst_error"].values, rows["worst"].values, strict=True)
        worst = tuple(f"sign error {error:.2g} at {where}" if where else "" for error, where in pairs)
        one = Series("", label="ψ, one setting at a time")
        marks.append(Points(psi, place, one, texts=worst, symbols=("diamond",) * psi.size, hollow=True))
    models = int(ds["models"].max())
    return FigureSpec(
        f"tau{tag}",
        f"What goes with {_outcome(ds)}{end}",
        Axis(f"rank correlation with {_outcome(ds)}", limits=(-1.05, 1.05)),
        _rows(rows),
        tuple(marks),
        f"Kendall's τ over up to {models} models in {int(ds['cells'])} cells (filled), and the granulated ψ"
        f" of cells that differ in one setting (hollow): Jiang et al. (2020).{_cut(ds)}",
        errors=Interval("over cells", "by the jackknife", "Bars"),
    )


def _settings(ds: xr.Dataset, tag: str, end: str) -> FigureSpec:
    rows = _drawn(ds)
    names = tuple(str(v).replace("_", " ") for v in ds["axis"].values)
    color = ColorAxis("τ where it alone differs", limits=(-1.0, 1.0), kind="diverging")
    field = Heatmap(np.arange(len(names)), np.arange(rows.sizes["metric"]), rows["axis_tau"].values, color)
    return FigureSpec(
        f"settings{tag}",
        f"Rank correlation with {_outcome(ds)} by setting{end}",
        Axis("setting", categories=names, limits=(-0.5, len(names) - 0.5)),
        Axis("number", categories=_rows(rows).categories, limits=(-0.5, rows.sizes["metric"] - 0.5)),
        (field,),
        f"Mean τ of cells that differ in one setting alone; ψ is the mean of a row.{_cut(ds)}",
    )
