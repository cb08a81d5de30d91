"""Pictures of ``uncertainty``: scores over shifts, the split of doubt, selective prediction, detection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.analyses._shared.captions import error_bars
from landscape.analyses.behaviour._answers import counted, nats, share_interval
from landscape.analyses.behaviour.uncertainty.schema import NATS
from landscape.base.figure import Axis, FigureSpec, Guide, Line, Points, series
from landscape.base.interval import Interval
from landscape.core.stats.intervals import reach

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["plots"]

UNIT = (-0.02, 1.02)
AXES = {
    "accuracy": ("Accuracy", Axis("share of right answers", limits=UNIT)),
    "nll": ("Negative log-likelihood", Axis("NLL", NATS)),
    "ece": ("Expected calibration error", Axis("expected calibration error")),
    "mutual_information": ("Epistemic uncertainty", Axis("mutual information", NATS)),
}
AGREEMENT = ("Agreement with the unchanged image", Axis("share of answers that stay", limits=UNIT))
WORDS = {"mutual_information": "mutual information", "score": "own score"}
LEAST = 0.02
"""Share of the examples below which an error rate is that of a handful."""


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Means over shifts, each shift by itself, the split, selective prediction, detection of other data."""
    first = next(iter(datasets.values()))
    figures = []
    if any(ds.sizes["shift"] > 1 for ds in datasets.values()):
        several = {label: ds for label, ds in datasets.items() if int(ds["draws"]) > 1}
        # one draw has no epistemic part: a level zero would read as a finding
        shown = {name: several if name == "mutual_information" else datasets for name in AXES}
        figures += [_mean(which, name, first, len(datasets)) for name, which in shown.items() if which]
    figures.append(_split(datasets, first))
    figures.append(_accuracy_entropy(datasets, first))
    figures += [_risk(datasets, first, place) for place in (0, -1)]
    figures.append(_pooled(datasets, first))
    tested = {label: ds for label, ds in datasets.items() if "ood_auroc" in ds}
    if tested:
        figures += [_detection(tested, name) for name in ("ood_auroc", "ood_fpr95")]
    kinds = dict.fromkeys(str(k) for ds in datasets.values() for k in ds["shift"].values)
    for kind in kinds:
        figures += [_shift(datasets, kind, name) for name in ("accuracy", "nll", "ece")]
        if any(_agrees(ds, kind) for ds in datasets.values()):
            figures.append(_shift(datasets, kind, "agreement"))
    return figures


def _agrees(ds: xr.Dataset, kind: str) -> bool:
    """Whether a result says how many answers stay under a shift; those of older versions do not."""
    if "agreement" not in ds or kind not in ds["shift"].values:
        return False
    return bool(np.isfinite(ds["agreement"].sel(shift=kind).values).any())


def _intensity(ds: xr.Dataset, kind: str = "") -> Axis:
    """The axis of intensities: severities, or amounts in the unit of the shift if it is one alone."""
    if bool(ds["severities"]):
        return Axis("severity (0 = unchanged)")
    units = [
        str(u) for k, u in zip(ds["shift"].values, ds["amount_unit"].values, strict=True) if kind in ("", k)
    ]
    return Axis("amount (0 = unchanged)", units[0] if len(set(units)) == 1 else "")


def _counted(ds: xr.Dataset) -> str:
    return counted(ds, int(ds["examples"]))


def _named(ds: xr.Dataset) -> str:
    return ", ".join(str(k).replace("_", " ") for k in ds["shift"].values)


def _mean(datasets: Mapping[str, xr.Dataset], name: str, first: xr.Dataset, models: int) -> FigureSpec:
    """A score against intensity, averaged over the shifts, of all models or of those that have it."""
    title, axis = AXES[name]
    axis = replace(axis, unit=nats(datasets)) if axis.unit == NATS else axis
    marks = tuple(
        Line(ds["intensity"].values, ds[name].values.mean(0), series(label, ds), markers=True)
        for label, ds in datasets.items()
    )
    return FigureSpec(
        f"mean_{name}",
        f"{title} under shift, mean over kinds",
        _intensity(first),
        axis,
        marks,
        f"{title} averaged over {_named(first)}; {_counted(first)}."
        + (" Models of one draw have none, and are left out." if len(datasets) < models else ""),
    )


def _shift(datasets: Mapping[str, xr.Dataset], kind: str, name: str) -> FigureSpec:
    """A score against the intensity of one shift."""
    title, axis = AGREEMENT if name == "agreement" else AXES[name]
    axis = replace(axis, unit=nats(datasets)) if axis.unit == NATS else axis
    marks, amounts, shown = [], "", None
    for label, ds in datasets.items():
        if kind not in ds["shift"].values or name not in ds:
            continue
        shown = shown if shown is not None else ds
        part = ds.sel(shift=kind)
        y, half = part[name].values, reach(int(ds["examples"])) * part[f"{name}_se"].values
        low, high = y - half, y + half
        if name in ("accuracy", "agreement"):  # near 0 and 1 errors are not symmetric
            low, high = share_interval(ds, y, part[f"{name}_se"].values, int(ds["examples"]))
        if f"{name}_interval" in ds:  # of older results, no more than the spread
            low, high = part[f"{name}_interval"].values
        marks.append(Line(ds["intensity"].values, y, series(label, ds), low, high, markers=True))
        steps = ", ".join(f"{a:g}" for a in part["amount"].values[1:])
        amounts = f"Amounts: {steps} ({part['amount_unit'].item()})."
    assert shown is not None
    bias = ", too large on average, the more so the fewer they are" if name == "ece" else ""
    bars = error_bars((int(ds["examples"]) for ds in datasets.values()), "over examples")
    if name in ("accuracy", "agreement"):
        bars = Interval("over examples", "by Wilson (1927)")
    elif all(f"{name}_interval" in ds for ds in datasets.values()):
        bars = Interval("over examples", "by the bootstrap", note="The bias is taken off: they lie lower.")
    return FigureSpec(
        f"{name}_{kind}",
        f"{title} under {kind.replace('_', ' ')}",
        _intensity(shown, kind),
        axis,
        tuple(marks),
        f"{title} on {_counted(shown)}{bias}. {amounts}",
        bars,
    )


def _split(datasets: Mapping[str, xr.Dataset], first: xr.Dataset) -> FigureSpec:
    """Total uncertainty and its aleatoric part against intensity."""
    marks: list[Any] = []
    for label, ds in datasets.items():
        x, who = ds["intensity"].values, series(label, ds)
        marks.append(Line(x, ds["entropy"].values.mean(0), who, markers=True))
        if int(ds["draws"]) > 1:
            part = replace(who, label=f"{label}: aleatoric")
            marks.append(Line(x, ds["expected_entropy"].values.mean(0), part, style="dash"))
    return FigureSpec(
        "split",
        "Total uncertainty and its aleatoric part",
        _intensity(first),
        Axis("entropy", nats(datasets)),
        tuple(marks),
        "Solid: entropy of the mixture of draws, the total. Dashed: mean entropy of a draw, the aleatoric"
        " part; the gap between them is the epistemic part, the mutual information of label and draw. A plain"
        f" model has one draw and no gap. Means over {_named(first)}; {_counted(first)}.",
    )


def _accuracy_entropy(datasets: Mapping[str, xr.Dataset], first: xr.Dataset) -> FigureSpec:
    """Every shift at every intensity: does doubt grow as answers fail?"""
    marks = []
    for label, ds in datasets.items():
        places = [f"{k}, {i:g}" for k in ds["shift"].values for i in ds["intensity"].values]
        x, y = ds["entropy"].values.ravel(), ds["accuracy"].values.ravel()
        marks.append(Points(x, y, series(label, ds), texts=tuple(places)))
    return FigureSpec(
        "accuracy_entropy",
        "Accuracy against doubt, over all shifts",
        Axis("entropy", nats(datasets)),
        Axis("share of right answers", limits=UNIT),
        tuple(marks),
        "Each point is a shift at an intensity: share of right answers against the mean entropy of the"
        f" prediction. A model that knows when it fails goes down to the right; {_counted(first)}.",
    )


def _risk(datasets: Mapping[str, xr.Dataset], first: xr.Dataset, place: int) -> FigureSpec:
    """Error rate among the most certain examples, unchanged or at the strongest intensity."""
    marks: list[Any] = []
    for label, ds in datasets.items():
        shown = ds["coverage"].values >= LEAST
        part = ds["risk"].isel(intensity=place).sel(by="entropy").values.mean(0)
        marks.append(Line(ds["coverage"].values[shown], part[shown], series(label, ds)))
    where = "unchanged images" if place == 0 else "the strongest intensity"
    over = "" if place == 0 else f" Means over {_named(first)}."
    return FigureSpec(
        "risk_clean" if place == 0 else "risk_shifted",
        f"Errors among the most certain answers: {where}",
        Axis("share of examples answered", limits=UNIT),
        Axis("error rate", limits=UNIT if place else None),
        tuple(marks),
        "Error rate if only the examples of least entropy are answered. A good order rises to the right; one"
        f" by chance is level.{over} {_counted(first)}.",
    )


def _pooled(datasets: Mapping[str, xr.Dataset], first: xr.Dataset) -> FigureSpec:
    """How well errors are known over all intensities of a shift, by measure."""
    everything = first["by"].values.astype(str)
    rows = []
    for ds in datasets.values():
        y = ds["pooled_raulc"].mean("shift").values
        # one draw holds no information on which draw is right: its level zero is no finding
        rows.append(np.where((everything == "mutual_information") & (int(ds["draws"]) == 1), np.nan, y))
    known = np.flatnonzero(np.isfinite(rows).any(axis=0))
    had = known if len(known) else np.arange(len(everything))
    measures = everything[had].tolist()
    marks: list[Any] = [Guide(y=0.0, label="chance"), Guide(y=1.0, label="ideal")]
    step = 0.6 / max(len(datasets), 2)
    for place, (label, ds) in enumerate(datasets.items()):
        x = np.arange(len(measures)) + (place - (len(datasets) - 1) / 2) * step
        marks.append(Points(x, rows[place][had], series(label, ds)))
    return FigureSpec(
        "pooled_raulc",
        "Order of errors over all intensities together",
        Axis(
            "examples ranked by",
            categories=tuple(WORDS.get(m, m) for m in measures),
            limits=(-0.5, len(measures) - 0.5),
        ),
        Axis("pooled rAULC"),
        tuple(marks),
        "Area under the lift curve over that of the ideal order, all intensities of a shift in one ranking,"
        " as one threshold would meet them. 1: every error after every right answer. 0: by chance. Means over"
        f" {_named(first)}; {_counted(first)} at each intensity.",
    )


def _detection(datasets: Mapping[str, xr.Dataset], name: str) -> FigureSpec:
    """Detection of other data by model; each set of data has a symbol."""
    symbols = ("circle", "square", "diamond", "triangle", "cross")
    sets = list(dict.fromkeys(str(o) for ds in datasets.values() for o in ds["ood"].values))
    auroc, one = name == "ood_auroc", f" Other data: {sets[0]}." if len(sets) == 1 else ""
    marks: list[Any] = [Guide(y=0.5, label="chance")] if auroc else []
    scored = False
    for place, (label, ds) in enumerate(datasets.items()):
        used = tuple(symbols[sets.index(str(o)) % len(symbols)] for o in ds["ood"].values)
        texts = tuple(str(o) for o in ds["ood"].values)
        for by, shift in (("entropy", 0.0), ("score", 0.15)):
            values, own = ds[name].sel(by=by).values, by == "score"
            if own and not np.isfinite(values).any():
                continue
            scored |= own
            error = reach(int(ds["examples"])) * ds[f"{name}_se"].sel(by=by).values if auroc else None
            who = replace(series(label, ds), label=f"{label}: own score") if own else series(label, ds)
            x = np.full(len(values), place + shift)
            marks.append(Points(x, values, who, error, texts, used, hollow=own))
    by = "entropy, and hollow by the method's own score" if scored else "entropy"
    return FigureSpec(
        name,
        "Detection of other data" if auroc else "Other data accepted where 95 % of the own data are",
        Axis("model", categories=tuple(datasets), limits=(-0.5, len(datasets) - 0.5)),
        Axis("AUROC of being certain" if auroc else "share of other data accepted", limits=UNIT),
        tuple(marks),
        "Probability that the model is more certain of an example of its own data than of one of the other"
        f" data, by {by}.{one}"
        if auroc
        else "Share of the other data of which the model is as certain as of 95 % of its own data, by"
        f" {by}.{one}",
        Interval("over examples", "by DeLong", "Bars") if auroc else "",
        symbols=() if one else tuple((symbols[i % len(symbols)], data) for i, data in enumerate(sets)),
    )
