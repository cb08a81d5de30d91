"""``calibration``: do predicted probabilities mean what they say?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from landscape.analyses._shared.options import BootstrapSeed
from landscape.analyses.behaviour._answers import ANSWERS, MEANS, counted, nats, record
from landscape.base.analysis import DATA_BUILDER, NEW_OPTION, Analysis, Context, Cost, Metric, Params
from landscape.base.figure import Axis, Bars, FigureSpec, Guide, Line, Points, Series, series
from landscape.base.schema import Schema, Variable
from landscape.core.stats.intervals import reach
from landscape.errors import InputError
from landscape.imports import REFERENCE

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.behaviour.calibration import Predictions
    from landscape.core.problem.problem import Problem


class CalibrationParams(Params):
    """Options of ``calibration``."""

    bins: int = Field(15, ge=2, le=200, description="number of confidence bins")
    thresholds: int = Field(20, ge=2, description="number of confidence thresholds, evenly from 0")
    bootstrap: int = Field(200, ge=2, description="bootstrap resamples over examples for the intervals")
    seed: BootstrapSeed = 0
    ood_data: Annotated[str, DATA_BUILDER] = Field(
        "",
        pattern=f"^$|{REFERENCE}",
        description="package.module:function that returns data of another distribution, to be told apart;"
        " none = no such scores, unless data are given as the input ood",
    )
    fit_data: Annotated[str, DATA_BUILDER, NEW_OPTION] = Field(
        "",
        pattern=f"^$|{REFERENCE}",
        description="package.module:function that returns held-out data on which a temperature is fitted, so"
        " that scores with it are no flattery; none = no such scores, unless data are given as the input fit",
    )


NATS = "nats/example"


def _scores() -> tuple[Variable, ...]:
    scores = (
        ("nll", "mean negative log-likelihood", NATS),
        ("accuracy", "share of right answers", "1"),
        ("brier", "mean Brier score, summed over classes (0 to 2)", "1"),
        ("entropy", "mean entropy of the predicted distribution", NATS),
        ("ece", "expected calibration error, equal-width bins with closed upper edges", "1"),
        ("ece_adaptive", "expected calibration error, bins of equally many examples", "1"),
    )
    return tuple(
        variable
        for name, meaning, unit in scores
        for variable in (
            Variable(name, (), meaning, unit),
            Variable(
                f"{name}_interval",
                ("bound",),
                f"95 % bootstrap interval of {name}" + (", its bias taken off" if "ece" in name else ""),
                unit,
            ),
        )
    )


def _bins(prefix: str, dim: str, kind: str) -> tuple[Variable, ...]:
    return (
        Variable(f"{prefix}_count", (dim,), f"examples in a bin of {kind}", kind="int"),
        Variable(f"{prefix}_confidence", (dim,), f"mean confidence in a bin of {kind}"),
        Variable(f"{prefix}_accuracy", (dim,), f"share of right answers in a bin of {kind}"),
        Variable(f"{prefix}_accuracy_interval", ("bound", dim), f"95 % Wilson interval of {prefix}_accuracy"),
    )


SCHEMA = Schema(
    version=2,
    coords=(
        Variable("bin", ("bin",), "upper edge of the bin of equal width"),
        Variable("mass_bin", ("mass_bin",), "index of the bin of equally many examples", "", kind="int"),
        Variable("mass_bin_edge", ("mass_bin",), "upper edge of the bin of equally many examples"),
        Variable("threshold", ("threshold",), "least confidence"),
        Variable("example", ("example",), "index of the example", "", kind="int"),
        Variable("bound", ("bound",), "end of the 95 % interval", "", kind="str"),
    ),
    variables=(
        *_scores(),
        *_bins("bin", "bin", "equal width"),
        *_bins("mass_bin", "mass_bin", "equally many examples"),
        Variable("threshold_accuracy", ("threshold",), "share of right answers at or above the threshold"),
        Variable(
            "threshold_accuracy_interval",
            ("bound", "threshold"),
            "95 % Wilson interval of threshold_accuracy",
        ),
        Variable("threshold_kept", ("threshold",), "share of examples at or above the threshold"),
        Variable("temperature", (), "temperature of least NLL on this very data"),
        Variable("nll_at_temperature", (), "mean NLL at that temperature", NATS),
        Variable("ece_at_temperature", (), "expected calibration error at that temperature"),
        Variable("temperature_fitted", (), "temperature of least NLL on the data to fit on", optional=True),
        Variable("nll_scaled", (), "mean NLL at temperature_fitted", NATS, optional=True),
        Variable("brier_scaled", (), "mean Brier score at temperature_fitted", optional=True),
        Variable("ece_scaled", (), "expected calibration error at temperature_fitted", optional=True),
        Variable("fit_examples", (), "number of examples to fit on", "1", "int", optional=True),
        Variable("ood_auroc_confidence", (), "AUROC of confidence against other data; NaN without any"),
        Variable("ood_auroc_confidence_se", (), "standard error of ood_auroc_confidence (DeLong)"),
        Variable("ood_auroc_entropy", (), "AUROC of low entropy against other data; NaN without any"),
        Variable("ood_auroc_entropy_se", (), "standard error of ood_auroc_entropy (DeLong)"),
        Variable("ood_examples", (), "number of examples of the other data", kind="int"),
        Variable(
            "example_nll", ("example",), "negative log-likelihood, mean over the example's answers", NATS
        ),
        Variable("example_confidence", ("example",), "probability of the most probable class, likewise"),
        Variable(
            "example_correct", ("example",), "1 where the most probable class is the true one, likewise"
        ),
        Variable("example_entropy", ("example",), "entropy of the predicted distribution, likewise", NATS),
        *ANSWERS,
    ),
)


def compute(problem: Problem, params: CalibrationParams, context: Context) -> Mapping[str, Any]:
    """Predict once; all scores come from the predictions."""
    from landscape.core.behaviour.calibration import (
        Bins,
        adaptive_edges,
        bin_index,
        calibration_error,
        equal_edges,
        optimal_temperature,
        predict,
        resampled_scores,
    )
    from landscape.core.stats.bootstrap import percentile_interval, pivotal_interval
    from landscape.core.stats.clusters import clustered_wilson
    from landscape.core.stats.hypothesis import wilson

    predictions = predict(problem)
    context.progress(0.5)
    confidence, correct = predictions.confidence, predictions.correct
    edges = [equal_edges(params.bins), adaptive_edges(confidence, params.bins)]
    draws, draw_errors = resampled_scores(predictions, edges, params.bootstrap, params.seed)
    draws |= {"ece": draw_errors[0], "ece_adaptive": draw_errors[1]}
    binned = [Bins.of(confidence, correct, bin_index(confidence, e), params.bins) for e in edges]
    data: dict[str, Any] = {
        "nll": predictions.nll.mean(),
        "accuracy": correct.mean(),
        "brier": predictions.brier.mean(),
        "entropy": predictions.entropy.mean(),
        "ece": binned[0].error,
        "ece_adaptive": binned[1].error,
    }
    for name, values in draws.items():
        if name.startswith("ece"):  # a mean of absolute values, which resampling raises as sampling has
            ends = pivotal_interval(data[name], values, examples=len(correct))
            data[f"{name}_interval"] = ends.clip(min=0.0)
        else:
            data[f"{name}_interval"] = percentile_interval(values, examples=len(correct))
    for prefix, part in zip(("bin", "mass_bin"), binned, strict=True):
        data[f"{prefix}_count"] = part.count.astype(np.int64)
        data[f"{prefix}_confidence"] = part.confidence
        data[f"{prefix}_accuracy"] = part.accuracy
        data[f"{prefix}_accuracy_interval"] = np.array(wilson(part.accuracy, part.count))
    if predictions.examples is not None:
        for prefix, e in zip(("bin", "mass_bin"), edges, strict=True):
            places = predictions.examples, bin_index(confidence, e), params.bins
            data[f"{prefix}_accuracy_interval"] = np.array(clustered_wilson(correct, *places))
    # Below 1, where hardly an answer would be left.
    thresholds = np.arange(params.thresholds) / params.thresholds
    kept = confidence >= thresholds[:, None]
    count = kept.sum(1).astype(np.float64)
    with np.errstate(invalid="ignore"):
        above = (kept * correct).sum(1) / count
    interval = np.array(wilson(above, count))
    if predictions.examples is not None:
        groups = [np.where(row, 0, -1) for row in kept]
        ends = [clustered_wilson(correct, predictions.examples, group, 1) for group in groups]
        interval = np.array(ends)[..., 0].T
    temperature = optimal_temperature(predictions)
    # a limit stands for 0 and ∞, where the logits would be no numbers
    scaled = predictions.scaled(float(np.clip(temperature, 1e-6, 1e6)))
    data |= _detection(problem, predictions, params, context)
    data |= _scaled(problem, predictions, params, context)
    context.progress(1.0)
    return {
        **data,
        "bin": edges[0][1:],
        "mass_bin": np.arange(params.bins),
        "mass_bin_edge": edges[1][1:],
        "threshold": thresholds,
        "threshold_accuracy": above,
        "threshold_accuracy_interval": interval,
        "threshold_kept": count / len(confidence),
        "example": np.arange(predictions.count) if predictions.numbers is None else predictions.numbers,
        "bound": np.array(["low", "high"]),
        "temperature": temperature,
        "nll_at_temperature": scaled.nll.mean(),
        "ece_at_temperature": calibration_error(scaled, params.bins),
        "example_nll": predictions.by_example(predictions.nll),
        "example_confidence": predictions.by_example(confidence),
        "example_correct": predictions.by_example(correct),
        "example_entropy": predictions.by_example(predictions.entropy),
        **record(predictions),
    }


def _scaled(
    problem: Problem, predictions: Predictions, params: CalibrationParams, context: Context
) -> dict[str, Any]:
    """Scores at the temperature of least NLL on other data; nothing without such."""
    from landscape.core.behaviour.calibration import calibration_error, optimal_temperature, predict
    from landscape.core.behaviour.ood import load_data
    from landscape.core.data.batches import read_batches

    given = context.inputs.get("fit")
    if given is not None and params.fit_data:
        raise InputError("calibration takes either the input fit or the option fit_data, not both.")
    if given is None and not params.fit_data:
        return {}
    if given is None:
        given = load_data(params.fit_data, "fit_data")
    size = max(batch.size for batch in problem.batches)
    batches = read_batches(given, batch_size=size, device=problem.device, dtype=problem.dtype)
    held = predict(problem, batches)
    temperature = optimal_temperature(held)
    scaled = predictions.scaled(float(np.clip(temperature, 1e-6, 1e6)))
    return {
        "temperature_fitted": temperature,
        "nll_scaled": scaled.nll.mean(),
        "brier_scaled": scaled.brier.mean(),
        "ece_scaled": calibration_error(scaled, params.bins),
        "fit_examples": len(held.labels),
    }


def _detection(
    problem: Problem, predictions: Predictions, params: CalibrationParams, context: Context
) -> dict[str, Any]:
    """How well confidence and entropy tell other data from the problem's."""
    from landscape.core.behaviour.ood import detection_auroc, load_data, predict_other

    given = context.inputs.get("ood")
    if given is not None and params.ood_data:
        raise InputError("calibration takes either the input ood or the option ood_data, not both.")
    if given is None and params.ood_data:
        given = load_data(params.ood_data)
    names = ("ood_auroc_confidence", "ood_auroc_entropy")
    if given is None:
        missing = {key: np.nan for name in names for key in (name, f"{name}_se")}
        return {**missing, "ood_examples": 0}
    other = predict_other(problem, given)
    data: dict[str, Any] = {"ood_examples": other.count}
    pairs = (predictions.confidence, other.confidence), (-predictions.entropy, -other.entropy)
    for name, (inside, outside) in zip(names, pairs, strict=True):
        data[name], data[f"{name}_se"] = detection_auroc(
            inside, outside, predictions.examples, other.examples
        )
    return data


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Reliability, counts behind it, accuracy over confidence thresholds, scores by model."""
    first = next(iter(datasets.values()))
    bins, examples = first.sizes["bin"], counted(first, first.sizes["example"])
    unit_range = (-0.02, 1.02)
    reliability: list[Any] = [Line([0, 1], [0, 1], Series(label="perfectly calibrated"), style="dash")]
    counts, selective, kept = [], [], []
    for label, ds in datasets.items():
        who = series(label, ds)
        filled = ds["bin_count"].values > 0
        low, high = ds["bin_accuracy_interval"].values[:, filled]
        x, y = ds["bin_confidence"].values[filled], ds["bin_accuracy"].values[filled]
        reliability.append(Line(x, y, who, low, high, markers=True))
        edges = ds["bin"].values
        counts.append(
            Bars(edges - 0.5 * edges[0], ds["bin_count"].values / ds["bin_count"].values.sum(), who)
        )
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
            tuple(reliability),
            f"Share of right answers against mean confidence in {bins} bins of equal width with closed upper"
            f" edges; below the dashed line the model is over-confident. {examples}, empty bins left"
            " out.",
            "Bands: 95 % Wilson intervals.",
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
            "Bands: 95 % Wilson intervals.",
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
        "Bars: 95 % interval (DeLong).",
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
        " The error is biased upwards: a calibrated model on few examples has one above 0. Its bar reaches as"
        " far down as the interval, from which the bias is taken off."
        if name == "ece"
        else ""
    )
    return FigureSpec(
        name,
        f"{title} by model",
        Axis("model", categories=tuple(datasets), limits=(-0.5, len(datasets) - 0.5)),
        axis,
        tuple(marks),
        f"{title} of each model.{bias}",
        "Bars: half the width of the 95 % bootstrap interval over examples.",
    )


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """The scores, and what a temperature would do."""
    found = [
        Metric("accuracy", float(ds["accuracy"]), "1", "share of right answers"),
        Metric("NLL", float(ds["nll"]), nats({"": ds}), "mean negative log-likelihood"),
        Metric("Brier", float(ds["brier"]), "1", "mean Brier score, summed over classes"),
        Metric(
            "ECE",
            float(ds["ece"]),
            "1",
            "expected calibration error, equal-width bins; biased upwards on few examples",
        ),
        Metric("OOD AUROC", float(ds["ood_auroc_confidence"]), "1", "AUROC of confidence against other data"),
        Metric("temperature", float(ds["temperature"]), "1", "temperature of least NLL on this very data"),
    ]
    if "temperature_fitted" in ds:
        what = "at the temperature of least NLL on held-out data"
        found.append(Metric("fitted temperature", float(ds["temperature_fitted"]), "1", what))
        found.append(Metric("scaled NLL", float(ds["nll_scaled"]), NATS, f"mean NLL {what}"))
        found.append(Metric("scaled ECE", float(ds["ece_scaled"]), "1", f"calibration error {what}"))
    return found


calibration = Analysis(
    name="calibration",
    title="Calibration of predicted probabilities",
    description=(
        "Negative log-likelihood, accuracy, Brier score, entropy and expected calibration error (Guo et al."
        " 2017: 15 bins of equal width, upper edges closed; and with bins of equally many examples, Nixon et"
        " al. 2019), the reliability diagram with its counts, and accuracy over confidence thresholds. All"
        " averages weigh examples. Intervals: bootstrap over examples with the bins kept, of"
        " calibration errors with their bias taken off; Wilson intervals"
        " for shares in bins. The optimal temperature is found on the same data and is information, not a"
        " correction: 0 means that every answer is right, infinity that the uniform distribution is best."
        " One found on held-out data (option fit_data or input fit) is a correction, and scores with it stand"
        " beside the others."
        " Calibration errors are biased upwards on few examples. Those of labels are of the more probable"
        " of no and yes, over all labels together. Given data of another distribution (option"
        " ood_data or input ood), the area under the ROC curve of telling them apart by confidence"
        " (Hendrycks & Gimpel 2017) and by entropy, with standard errors by DeLong et al. (1988). " + MEANS
    ),
    scope="checkpoint",
    takes="predictive",
    params=CalibrationParams,
    schema=SCHEMA,
    compute=compute,
    plots=plots,
    summary=summary,
    cost=lambda params: Cost(forwards=1.0),
    inputs=("ood", "fit"),
)
