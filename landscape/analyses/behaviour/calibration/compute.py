"""Scores of predicted probabilities, in bins and in all; a temperature; detection of other data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.analyses.behaviour._answers import record
from landscape.errors import InputError

if TYPE_CHECKING:
    from landscape.analyses.behaviour.calibration.options import CalibrationParams
    from landscape.base.analysis import Context
    from landscape.core.behaviour.calibration import Predictions
    from landscape.core.problem.problem import Problem

__all__ = ["compute"]


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
    from landscape.core.stats.bootstrap import percentile_interval
    from landscape.core.stats.clusters import clustered_wilson
    from landscape.core.stats.hypothesis import wilson

    predictions = predict(problem)
    context.progress(0.5)
    confidence, correct = predictions.confidence, predictions.correct
    edges = [equal_edges(params.bins), adaptive_edges(confidence, params.bins)]
    draws, draw_gaps = resampled_scores(predictions, edges, params.bootstrap, params.seed)
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
        data[f"{name}_interval"] = percentile_interval(values, examples=predictions.count)
    for name, part, gaps in zip(("ece", "ece_adaptive"), binned, draw_gaps, strict=True):
        data[f"{name}_interval"] = part.error_interval(gaps, predictions.count)
    if data["accuracy"] in (0.0, 1.0) and predictions.count > 1:  # which all resamples repeat
        count = np.array(float(predictions.count))
        data["accuracy_interval"] = np.array(wilson(np.array(correct.mean()), count))
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
    from landscape.core.problem.door.conversions import other_batches

    given = context.inputs.get("fit")
    if given is not None and params.fit_data:
        raise InputError("calibration takes either the input fit or the option fit_data, not both.")
    if given is None and not params.fit_data:
        return {}
    if given is None:
        given = load_data(params.fit_data, "fit_data")
    held = predict(problem, other_batches(problem, given))
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
