"""The figures of ``compression``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from landscape.analyses._shared.captions import error_bars, loss_unit
from landscape.analyses.curvature.compression.options import METHODS
from landscape.base.figure import Axis, FigureSpec, Guide, Line, Points, Series, series
from landscape.core.stats.intervals import reach

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["plots"]

Style = Literal["solid", "dash", "dot"]
STYLES: dict[str, Style] = {
    "global": "solid",
    "layer": "dash",
    "random": "dot",
    "channel": "solid",
    "tensor": "dash",
}
SYMBOLS = {
    "global": "circle",
    "layer": "square",
    "random": "cross",
    "channel": "triangle",
    "tensor": "diamond",
}
WORDS = {"global": "smallest", "layer": "layer by layer", "random": "random", "channel": "by channel"}
WORDS["tensor"] = "by layer"
MOST_NAMED = 12  # weights that a caption lists
PRUNING, ROUNDING = ("global", "layer", "random"), ("channel", "tensor")
FORESEEN: dict[str, tuple[str, Style]] = {
    "loss_change": ("measured", "solid"),
    "predicted": ("g·δ + ½δᵀHδ", "dash"),
    "predicted_trace": ("½ tr(H)‖δ‖²/P", "dot"),
}


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Accuracy by pruning and by bits, both losses against what was foreseen, layers, and what is saved."""
    figures = []
    for name, methods in (("pruning", PRUNING), ("quantisation", ROUNDING)):
        if any(_of(ds, method).any() for ds in datasets.values() for method in methods):
            figures.append(_accuracy(datasets, name, methods))
            there = (m for m in methods if any(_of(ds, m).any() for ds in datasets.values()))
            figures.append(_loss(datasets, name, next(there)))
    figures = [figure for figure in figures if figure.marks]
    if any("predicted" in ds for ds in datasets.values()):
        figures.append(_foreseen(datasets))
        if any("layer_loss_change" in ds for ds in datasets.values()):
            figures.append(_layers(datasets))
    return [*figures, _saved(datasets)]


def _of(ds: xr.Dataset, method: str) -> Any:
    """Which of the perturbations are of a method."""
    return ds["method"].values == method


def _amount(name: str) -> Axis:
    return Axis("share of weights pruned") if name == "pruning" else Axis("bits of a weight")


def _ways(datasets: Mapping[str, xr.Dataset], methods: Sequence[str]) -> str:
    """What lines stand for, of the methods that are there."""
    there = [m for m in methods if any(_of(ds, m).any() for ds in datasets.values())]
    lines = "; ".join(f"{STYLES[m]}, {METHODS[m]}" for m in there)
    return lines[:1].upper() + lines[1:]


def _accuracy(datasets: Mapping[str, xr.Dataset], name: str, methods: Sequence[str]) -> FigureSpec:
    marks: list[Any] = []
    for label, ds in datasets.items():
        for method in methods:
            rows = _of(ds, method)
            y = ds["accuracy_change"].values[rows]
            if not np.isfinite(y).any():
                continue
            half = reach(_examples(ds)) * ds["accuracy_change_se"].values[rows]
            x, who = ds["amount"].values[rows], series(label, ds)
            mark = Series(who.model, who.group, f"{label}, {WORDS[method]}")
            marks.append(Line(x, y, mark, y - half, y + half, markers=True, style=STYLES[method]))
    return FigureSpec(
        f"accuracy_{name}",
        f"Accuracy lost to {name}",
        _amount(name),
        Axis("change of accuracy"),
        (*marks, Guide(y=0.0)) if marks else (),
        f"Change of the accuracy by {name} of matrices and kernels, without any further training."
        f" {_ways(datasets, methods)}.",
        error_bars([_examples(ds) for ds in datasets.values()], "paired by example"),
    )


def _loss(datasets: Mapping[str, xr.Dataset], name: str, method: str) -> FigureSpec:
    """The loss change and what was foreseen of it."""
    marks: list[Any] = []
    smallest = []
    for label, ds in datasets.items():
        rows = _of(ds, method)
        if not rows.any():
            continue
        x, who = ds["amount"].values[rows], series(label, ds)
        for variable, (word, style) in FORESEEN.items():
            if variable not in ds:
                continue
            y = ds[variable].values[rows]
            smallest.append(np.abs(y[np.isfinite(y) & (y != 0)]))
            mark = Series(who.model, who.group, f"{label}, {word}")
            low = high = None
            if variable == "loss_change":
                half = reach(_examples(ds)) * ds["loss_change_se"].values[rows]
                low, high = y - half, y + half
            marks.append(Line(x, y, mark, low, high, markers=True, style=style))
    foreseen = any("predicted" in ds for ds in datasets.values())
    what = f"Change δ of the weights by {name} ({METHODS[method]}): solid, the change of the mean loss"
    if foreseen:
        what += (
            "; dashed, g·δ + ½δᵀHδ with the gradient g and the Hessian H of the same loss; dotted, what the"
            " trace of H alone says"
        )
    return FigureSpec(
        f"loss_{name}",
        f"Loss added by {name}{', and what curvature foresees' if foreseen else ''}",
        _amount(name),
        Axis("change of the loss", loss_unit(datasets), scale="symlog", linthresh=_thresh(smallest)),
        tuple(marks),
        f"{what}.",
        error_bars([_examples(ds) for ds in datasets.values()], "paired by example"),
    )


def _foreseen(datasets: Mapping[str, xr.Dataset]) -> FigureSpec:
    """The quadratic form against the truth, all ways together."""
    marks: list[Any] = []
    values = []
    for label, ds in datasets.items():
        if "predicted" not in ds:
            continue
        symbols = tuple(SYMBOLS[str(m)] for m in ds["method"].values)
        x, y = ds["predicted"].values, ds["loss_change"].values
        error = reach(_examples(ds)) * ds["loss_change_se"].values
        texts = tuple(f"{label}: {p}" for p in ds["perturbation"].values)
        marks.append(Points(x, y, series(label, ds), error, texts, symbols))
        values += [np.abs(x[x != 0]), np.abs(y[y != 0])]
    thresh = _thresh(values)
    ends = [v for v in (*(m.x for m in marks), *(m.y for m in marks)) if len(v)]
    both = np.concatenate([*ends, [0.0]])
    both = both[np.isfinite(both)]
    top, bottom = float(both.max(initial=thresh)), float(both.min(initial=0.0))
    magnitude = np.geomspace(thresh / 10, max(top, thresh), 60)
    equal = np.concatenate([[bottom] if bottom < 0 else [], [0.0], magnitude])
    marks.append(Line(equal, equal, Series("", "", "equal"), style="dash"))
    unit = loss_unit(datasets)
    return FigureSpec(
        "foreseen",
        "Loss change, foreseen and measured",
        Axis("g·δ + ½δᵀHδ", unit, scale="symlog", linthresh=thresh),
        Axis("change of the loss", unit, scale="symlog", linthresh=thresh),
        tuple(marks),
        "Change of the mean loss by each compression against what gradient and Hessian foresee.",
        error_bars([_examples(ds) for ds in datasets.values()], "paired by example", "Bars"),
        symbols=_symbols(datasets),
    )


def _layers(datasets: Mapping[str, xr.Dataset]) -> FigureSpec:
    """Which layers a middle number of bits, or share, harms."""
    marks: list[Any] = []
    values, names = [], []
    for label, ds in datasets.items():
        if "layer_loss_change" not in ds:
            continue
        row = _middle(ds)
        names.append(str(ds["perturbation"].values[row]))
        x = np.linspace(0.0, 1.0, ds.sizes["layer"])
        half = reach(_examples(ds)) * ds["layer_loss_change_se"].values[row]
        for variable, (word, style) in FORESEEN.items():
            if f"layer_{variable}" not in ds:
                continue
            y = ds[f"layer_{variable}"].values[row]
            who = series(label, ds)
            word = "½ tr(H)‖δ‖²/n" if variable == "predicted_trace" else word
            mark = Series(who.model, who.group, f"{label}, {word}")
            low, high = (y - half, y + half) if variable == "loss_change" else (None, None)
            marks.append(Line(x, y, mark, low, high, markers=True, style=style))
            values.append(np.abs(y[np.isfinite(y) & (y != 0)]))
    what = " or ".join(dict.fromkeys(names))
    orders = {tuple(ds["layer"].values.tolist()) for ds in datasets.values()}
    order = ", ".join(next(iter(orders))) if len(orders) == 1 else ""
    order = f" In order: {order}." if order and len(next(iter(orders))) <= MOST_NAMED else ""
    return FigureSpec(
        "layers",
        f"Loss added by each layer: {what}",
        Axis("depth (0 = first weight, 1 = last)", limits=(-0.03, 1.03)),
        Axis("change of the loss", loss_unit(datasets), scale="symlog", linthresh=_thresh(values)),
        tuple(marks),
        f"Change of the mean loss when one layer alone is compressed ({what}): solid, measured; dashed,"
        " g·δ + ½δᵀHδ of that layer; dotted, ½ tr(H)‖δ‖²/n with the trace of its block of n weights (HAWQ)."
        f"{order}",
        error_bars([_examples(ds) for ds in datasets.values()], "paired by example"),
    )


def _middle(ds: xr.Dataset) -> int:
    """The perturbation that the figure of layers is about: 3 bits, else that in the middle of the first."""
    found = [i for i, name in enumerate(ds["perturbation"].values) if name == "3 bits"]
    rows = np.flatnonzero(_of(ds, str(ds["method"].values[0])))
    return found[0] if found else int(rows[len(rows) // 2])


def _saved(datasets: Mapping[str, xr.Dataset]) -> FigureSpec:
    """The accuracy that is left against the bytes that are: what each way gives for its price."""
    marks: list[Any] = []
    scored = any(np.isfinite(ds["accuracy"].values).all() for ds in datasets.values())
    for label, ds in datasets.items():
        y = (
            (ds["accuracy"] + ds["accuracy_change"]).values
            if scored
            else (ds["loss"] + ds["loss_change"]).values
        )
        start = float(ds["accuracy"] if scored else ds["loss"])
        symbols = tuple(SYMBOLS[str(m)] for m in ds["method"].values)
        texts = tuple(f"{label}: {p}" for p in ds["perturbation"].values)
        marks.append(Points(ds["bytes"].values / 1024, y, series(label, ds), None, texts, symbols))
        # a point would have to be of one of the methods
        whole = np.array([float(ds["bytes"].min()), float(ds["dense_bytes"])]) / 1024
        marks.append(Line(whole, [start, start], series(label, ds), style="dot"))
    unit = "" if scored else loss_unit(datasets)
    return FigureSpec(
        "size",
        "What is left for how many bytes",
        Axis("size of the parameters", "KiB", scale="log"),
        Axis("accuracy" if scored else "loss", unit),
        tuple(marks),
        "Pruned weights are coded as the values that stay and one bit for each place, rounded ones as bits"
        " and scales. Dotted, as far as its size: the whole model. Coded weights take the time of whole ones"
        " unless hardware knows them.",
        symbols=_symbols(datasets),
    )


def _symbols(datasets: Mapping[str, xr.Dataset]) -> tuple[tuple[str, str], ...]:
    there = dict.fromkeys(str(m) for ds in datasets.values() for m in ds["method"].values)
    return tuple((SYMBOLS[m], METHODS[m]) for m in METHODS if m in there)


def _thresh(values: Sequence[Any]) -> float:
    """Where an axis turns linear: a ten-thousandth of the largest, or the smallest if that is more."""
    known = np.concatenate([*values, np.empty(0)])
    known = known[np.isfinite(known) & (known > 0)]
    return float(max(known.max() * 1e-4, known.min())) if known.size else 1.0


def _examples(ds: xr.Dataset) -> float:
    """How many examples errors are over."""
    return float(ds.attrs.get("examples", np.nan))
