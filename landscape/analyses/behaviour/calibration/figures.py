"""Pictures of ``calibration``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from landscape.analyses.behaviour._answers import counted, nats
from landscape.base.figure import Axis, Bars, FigureSpec, Guide, Line, Points, Series, series
from landscape.base.interval import Interval
from landscape.core.stats.intervals import reach

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["plots"]

FEW = 3
"""Models whose columns of examples have room below the curves of the reliability diagram."""


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Reliability, counts behind it, accuracy over confidence thresholds, scores by model."""
    first = next(iter(datasets.values()))
    bins, examples = first.sizes["bin"], counted(first, first.sizes["example"])
    unit_range = (-0.02, 1.02)
    reliability: list[Any] = [Line([0, 1], [0, 1], Series(label="perfectly calibrated"), style="dash")]
    counts, columns, selective, kept = [], [], [], []
    for label, ds in datasets.items():
        who = series(label, ds)
        filled = ds["bin_count"].values > 0
        low, high = ds["bin_accuracy_interval"].values[:, filled]
        x, y = ds["bin_confidence"].values[filled], ds["bin_accuracy"].values[filled]
        reliability.append(Line(x, y, who, low, high, markers=True))
        edges = ds["bin"].values
        middle, share = edges - 0.5 * edges[0], ds["bin_count"].values / ds["bin_count"].values.sum()
        counts.append(Bars(middle, share, who))
        columns.append(Bars(middle, share, replace(who, label=f"{label}: share of examples")))
        t = ds["threshold"].values
        low, high = ds["threshold_accuracy_interval"].values
        selective.append(Line(t, ds["threshold_accuracy"].values, who, low, high))
        kept.append(Line(t, ds["threshold_kept"].values, who))
    confidence = Axis("confidence", limits=unit_range)
    threshold = Axis("least confidence", limits=unit_range)
    figures = [
        FigureSpec(
            "reliability",
            "Reliability diagram",
            confidence,
            Axis("share of right answers", limits=unit_range),
            (*(columns if len(datasets) <= FEW else ()), *reliability),
            f"Share of right answers against mean confidence in {bins} bins of equal width with closed upper"
            f" edges; below the dashed line the model is over-confident. {examples}, empty bins left"
            f" out.{' Columns: share of them in each bin.' if len(datasets) <= FEW else ''}",
            Interval("over examples", "by Wilson (1927)"),
            equal=True,
        ),
        FigureSpec(
            "bin_counts",
            "Examples by confidence",
            confidence,
            Axis("share of examples", limits=unit_range),
            tuple(counts),
            f"Share of the {examples} in each bin of the reliability diagram.",
        ),
        FigureSpec(
            "threshold_accuracy",
            "Accuracy of confident answers",
            threshold,
            Axis("share of right answers"),
            tuple(selective),
            "Share of right answers among examples whose confidence reaches the threshold;"
            f" {examples} in all.",
            Interval("over examples", "by Wilson (1927)"),
        ),
        FigureSpec(
            "threshold_kept",
            "Confident answers",
            threshold,
            Axis("share of examples", limits=unit_range),
            tuple(kept),
            f"Share of the {examples} whose confidence reaches the threshold.",
        ),
    ]
    for name, title, axis in (
        ("nll", "Negative log-likelihood", Axis("NLL", nats(datasets))),
        ("ece", "Expected calibration error", Axis("expected calibration error")),
        ("brier", "Brier score", Axis("Brier score")),
    ):
        figures.append(_by_model(datasets, name, title, axis))
    tested = {label: ds for label, ds in datasets.items() if int(ds["ood_examples"])}
    return [*figures, _detection_by_model(tested)] if tested else figures


def _detection_by_model(datasets: Mapping[str, xr.Dataset]) -> FigureSpec:
    """AUROC of confidence for the models that were shown other data."""
    marks: list[Any] = [Guide(y=0.5, label="chance")]
    for place, (label, ds) in enumerate(datasets.items()):
        value, se = float(ds["ood_auroc_confidence"]), float(ds["ood_auroc_confidence_se"])
        # of the smaller of the two sets of data, on which more of the error rests
        least = min(ds.sizes["example"], int(ds["ood_examples"]))
        marks.append(Points([place], [value], series(label, ds), [reach(least) * se]))
    return FigureSpec(
        "ood_auroc",
        "Detection of data of another distribution by model",
        Axis("model", categories=tuple(datasets), limits=(-0.5, len(datasets) - 0.5)),
        Axis("AUROC of confidence", limits=(0.0, 1.02)),
        tuple(marks),
        "Probability that the model is more confident of an example of its own data than of one of the other"
        " data, ties counting a half.",
        Interval("over examples", "by DeLong", "Bars"),
    )


def _by_model(datasets: Mapping[str, xr.Dataset], name: str, title: str, axis: Axis) -> FigureSpec:
    """One score for all models side by side, with its bootstrap interval as an error bar."""
    marks = []
    for place, (label, ds) in enumerate(datasets.items()):
        low, high = ds[f"{name}_interval"].values
        middle, half = float(ds[name]), (high - low) / 2
        if name == "ece":  # the interval lies lower than the value, which is biased
            half = max(half, middle - low, high - middle)
        marks.append(Points([place], [middle], series(label, ds), [half]))
    bias = (
        " It is biased upwards: a calibrated model on few examples has one above 0." if name == "ece" else ""
    )
    return FigureSpec(
        name,
        f"{title} by model",
        Axis("model", categories=tuple(datasets), limits=(-0.5, len(datasets) - 0.5)),
        axis,
        tuple(marks),
        f"{title} of each model.{bias}",
        Interval(
            "over examples",
            "by the bootstrap",
            "Bars",
            note="The bias is taken off; both bars reach as far as the farther end." if bias else "",
        ),
    )
