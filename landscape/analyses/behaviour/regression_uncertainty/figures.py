"""Pictures of ``regression_uncertainty``: coverage, ranks, spread against errors, scores, kinds of doubt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.analyses._shared.captions import error_bars
from landscape.analyses.behaviour.regression_uncertainty.schema import NATS, TARGET
from landscape.base.figure import Axis, FigureSpec, Guide, Line, Points, Series, series
from landscape.base.interval import Interval
from landscape.core.stats.intervals import reach

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["plots"]

UNIT = (-0.02, 1.02)
SCORES = {
    "nll": ("Negative log-likelihood", Axis("NLL", NATS)),
    "crps": ("Continuous ranked probability score", Axis("CRPS", TARGET)),
    "rmse": ("Size of errors", Axis("root mean square error", TARGET)),
}


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Coverage over levels, ranks of targets, errors by spread, scores by model, the split of variance."""
    first = next(iter(datasets.values()))
    figures = [_coverage(datasets, first), _ranks(datasets, first), _errors(datasets, first)]
    figures += [_by_model(datasets, name) for name in SCORES]
    figures.append(_split(datasets))
    of_numbers = {label: ds for label, ds in datasets.items() if "example_input" in ds}
    return [*figures, _curve(of_numbers), _spread(of_numbers)] if of_numbers else figures


def _coverage(datasets: Mapping[str, xr.Dataset], first: xr.Dataset) -> FigureSpec:
    """Share of targets within intervals against what it should be."""
    marks: list[Any] = [Line([0, 1], [0, 1], Series(label="perfectly calibrated"), style="dash")]
    for label, ds in datasets.items():
        low, high = ds["coverage_interval"].values
        x, y = ds["level"].values, ds["coverage"].values
        marks.append(Line(x, y, series(label, ds), low, high, markers=True))
    return FigureSpec(
        "coverage",
        "Coverage of central intervals",
        Axis("share that the interval is to hold", limits=UNIT),
        Axis("share of targets within", limits=UNIT),
        tuple(marks),
        "Share of targets within the central part of the predicted Gaussian; below the dashed line spreads"
        f" are too narrow, and the model over-confident. {int(first['examples'])} examples.",
        Interval("over examples", "by Wilson (1927)"),
        equal=True,
    )


def _ranks(datasets: Mapping[str, xr.Dataset], first: xr.Dataset) -> FigureSpec:
    """Where targets lie in the predicted distributions."""
    marks: list[Any] = [Guide(y=1.0, label="calibrated")]
    for label, ds in datasets.items():
        edges, count = ds["pit_bin"].values, ds["pit_count"].values
        share = count / max(count.sum(), 1) * len(count)
        marks.append(Line(edges - 0.5 * edges[0], share, series(label, ds), markers=True))
    return FigureSpec(
        "ranks",
        "Ranks of targets in the predicted distribution",
        Axis("share of the predicted distribution below the target", limits=UNIT),
        Axis("density"),
        tuple(marks),
        "How often targets fall into each part of the predicted Gaussian. Level at 1 if predictions are"
        " right; high at both ends if they are too narrow, in the middle if too wide, at one end if means are"
        " off."
        f" {int(first['examples'])} examples.",
    )


def _errors(datasets: Mapping[str, xr.Dataset], first: xr.Dataset) -> FigureSpec:
    """Errors against predicted spread, in bins of equally many predictions."""
    most = max(float(np.nanmax(ds["bin_sd"].values)) for ds in datasets.values())
    marks: list[Any] = [Line([0, most], [0, most], Series(label="as predicted"), style="dash")]
    for label, ds in datasets.items():
        y, half = ds["bin_rmse"].values, reach(int(ds["bin_count"].min())) * ds["bin_rmse_se"].values
        marks.append(Line(ds["bin_sd"].values, y, series(label, ds), y - half, y + half, markers=True))
    return FigureSpec(
        "errors_by_spread",
        "Errors against predicted spread",
        Axis("predicted standard deviation", TARGET),
        Axis("root mean square error", TARGET),
        tuple(marks),
        f"Predictions in {first.sizes['sd_bin']} bins of equally many by their standard deviation. On the"
        " dashed line errors are as large as predicted; a level curve is spread that says nothing of errors."
        f" {int(first['examples'])} examples.",
        error_bars((int(ds["bin_count"].min()) for ds in datasets.values()), "over predictions"),
    )


def _curve(datasets: Mapping[str, xr.Dataset]) -> FigureSpec:
    """Predictions and targets against the input, where that is one number."""
    marks: list[Any] = []
    for label, ds in datasets.items():
        x, order = _ordered(ds)
        mean, sd = (ds[f"example_{name}"].values[order, 0] for name in ("mean", "sd"))
        marks.append(Line(x, mean, series(label, ds), mean - 2.0 * sd, mean + 2.0 * sd))
    x, order = _ordered(ds)
    marks.append(Line(x, ds["example_target"].values[order, 0], Series(label="targets"), style="dash"))
    return FigureSpec(
        "curve",
        "Predictions against the input",
        Axis("input"),
        Axis("target", TARGET),
        tuple(marks),
        f"Mean predictions of the first target, and the targets. {ds.sizes['example']} examples.",
        Interval("on either side", "two predicted standard deviations", level=None),
    )


def _spread(datasets: Mapping[str, xr.Dataset]) -> FigureSpec:
    """Predicted spread against the input, where that is one number."""
    marks = []
    for label, ds in datasets.items():
        x, order = _ordered(ds)
        marks.append(Line(x, ds["example_sd"].values[order, 0], series(label, ds)))
    return FigureSpec(
        "spread",
        "Predicted spread against the input",
        Axis("input"),
        Axis("predicted spread", TARGET),
        tuple(marks),
        "Predicted standard deviation of the first target: where each model doubts its predictions."
        f" {ds.sizes['example']} examples.",
    )


def _ordered(ds: xr.Dataset) -> tuple[Any, Any]:
    """Inputs in their order, and which examples these are."""
    order = np.argsort(ds["example_input"].values, kind="stable")
    return ds["example_input"].values[order], order


def _by_model(datasets: Mapping[str, xr.Dataset], name: str) -> FigureSpec:
    title, axis = SCORES[name]
    marks = [
        Points(
            [place],
            [float(ds[name])],
            series(label, ds),
            [reach(int(ds["examples"])) * float(ds[f"{name}_se"])],
        )
        for place, (label, ds) in enumerate(datasets.items())
    ]
    return FigureSpec(
        name,
        f"{title} by model",
        Axis("model", categories=tuple(datasets), limits=(-0.5, len(datasets) - 0.5)),
        axis,
        tuple(marks),
        f"{title} of each model, of the Gaussian of the mixture's mean and variance."
        if name != "rmse"
        else "Root mean square of the errors of the mean prediction of each model.",
        error_bars((int(ds["examples"]) for ds in datasets.values()), "over examples", "Bars"),
    )


def _split(datasets: Mapping[str, xr.Dataset]) -> FigureSpec:
    """Predicted variance and its aleatoric part, as standard deviations."""
    marks: list[Any] = []
    for place, (label, ds) in enumerate(datasets.items()):
        who = series(label, ds)
        noise, doubt = float(ds["aleatoric_variance"]), float(ds["epistemic_variance"])
        marks.append(Points([place], [np.sqrt(noise + doubt)], who, symbols=("circle",)))
        if int(ds["draws"]) > 1:
            part = replace(who, label=f"{label}: aleatoric")
            marks.append(Points([place], [np.sqrt(noise)], part, symbols=("diamond",)))
    return FigureSpec(
        "split",
        "Predicted spread and its aleatoric part",
        Axis("model", categories=tuple(datasets), limits=(-0.5, len(datasets) - 0.5)),
        Axis("predicted spread", TARGET),
        tuple(marks),
        "Roots of mean variances. Circles: spread of the mixture. Diamonds: that of a draw by itself, the"
        " noise it expects; the rest is what draws disagree in. A plain model has one draw.",
        symbols=(("circle", "total"), ("diamond", "aleatoric")),
    )
