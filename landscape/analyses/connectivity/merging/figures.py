"""Figures of ``merging``: accuracy and loss of members, ensemble and merges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from landscape.analyses._shared.captions import LOSS_UNIT, data_word
from landscape.base.figure import Axis, FigureSpec, Guide, Mark, Points, Series
from landscape.base.interval import Interval
from landscape.core.stats.intervals import reach

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["figures"]

SYMBOLS = {"member": "circle", "ensemble": "diamond", "merge": "square"}


def figures(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """For each group its accuracies, where there are any, and its losses."""
    specs = []
    for index, (label, ds) in enumerate(datasets.items()):
        if np.isfinite(ds["accuracy"].values).any():
            specs.append(_figure(f"accuracy_{index}", f"Merged models: {label}", ds, "accuracy"))
        specs.append(_figure(f"loss_{index}", f"Loss of merged models: {label}", ds, "loss"))
    return specs


def _figure(name: str, title: str, ds: xr.Dataset, what: str) -> FigureSpec:
    entries = [str(entry) for entry in ds["entry"].values]
    kinds = [str(kind) for kind in ds["kind"].values]
    factor = 100.0 if what == "accuracy" else 1.0
    marks: list[Mark] = []
    for s, split in enumerate(ds["split"].values.astype(str)):
        part = ds.isel(split=s)
        place = np.arange(len(entries)) + 0.2 * (s - 0.5 * (ds.sizes["split"] - 1))
        values = factor * part[what].values
        errors = factor * reach(int(part["examples"])) * part[f"{what}_se"].values
        texts = tuple(
            f"{entry}: {value:.4g}{f'; {note}' if note else ''}"
            for entry, value, note in zip(entries, values, ds["note"].values.astype(str), strict=True)
        )
        marks.append(
            Points(
                place,
                values,
                Series(split, label=data_word(ds, split)),
                errors,
                texts,
                tuple(SYMBOLS[kind] for kind in kinds),
            )
        )
    marks += [Guide(x=edge) for edge in (kinds.index("ensemble") - 0.5, kinds.index("ensemble") + 0.5)]
    unit = "%" if what == "accuracy" else LOSS_UNIT
    return FigureSpec(
        name,
        title,
        Axis("model", categories=tuple(entries), limits=(-0.5, len(entries) - 0.5)),
        Axis(what, unit),
        tuple(marks),
        "From left to right the models of the group, their ensemble (averaged predictions), and single models"
        " merged from their weights, as trained and after their units were put in one order (aligned)."
        f" BatchNorm statistics of merges: {ds['batchnorm'].item()}d.",
        Interval("over examples", mark="Bars"),
        symbols=tuple((symbol, kind) for kind, symbol in SYMBOLS.items() if kind in kinds),
        leads=what == "accuracy",
    )
