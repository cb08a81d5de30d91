"""How ``uncertainty`` is computed: one pass for each shift and intensity, one for the unchanged images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from landscape.analyses.behaviour.uncertainty.options import UncertaintyParams
from landscape.analyses.behaviour.uncertainty.schema import PARTS, RANKED, SCORES
from landscape.base.analysis import Context
from landscape.core.behaviour.brier_parts import BrierParts
from landscape.core.behaviour.calibration import (
    Bins,
    adaptive_edges,
    bin_index,
    equal_edges,
    resampled_scores,
)
from landscape.core.behaviour.corruptions import CORRUPTIONS, corrupt_by
from landscape.core.behaviour.drawn import (
    MEASURES,
    DrawnPredictions,
    predict_draws,
    predict_other_draws,
)
from landscape.core.behaviour.ood import auroc, average_precision, false_accept_rate, load_data
from landscape.core.behaviour.perturbations import PixelScale, changed_batches, image_shape, paired
from landscape.core.behaviour.selective import Ranking, error_auroc
from landscape.core.problem.problem import Problem
from landscape.core.stats.bootstrap import resampled_error
from landscape.errors import InputError

__all__ = ["compute"]

Array = NDArray[np.float64]
Number = float | Array


def compute(problem: Problem, params: UncertaintyParams, context: Context) -> Mapping[str, Any]:
    """Predict on the unchanged images, then on each shift at each intensity, then on other data."""
    channels = image_shape(problem)[0]
    scale = PixelScale.of(problem, params.mean, params.std)
    others = _other_data(params, context)
    draws: dict[str, Any] = {"samples": params.samples or None, "seed": params.seed}
    amounts = np.array([[0.0, *(params.intensities or CORRUPTIONS[kind].amounts)] for kind in params.shifts])
    passes = 1 + amounts[:, 1:].size + len(others)
    clean = predict_draws(problem, **draws)
    unchanged = _Cell(clean, params)
    done = 1
    context.progress(done / passes)
    cells, pooled = [], []
    for row, kind in enumerate(params.shifts):
        made, cells_of_row = [clean], [unchanged.scores(unchanged)]
        for amount in amounts[row, 1:]:
            change = corrupt_by(kind, float(amount), params.seed, clip=params.clip)
            made.append(predict_draws(problem, changed_batches(problem, scale, change), **draws))
            cells_of_row.append(_Cell(made[-1], params).scores(unchanged))
            done += 1
            context.progress(done / passes)
        cells.append(cells_of_row)
        pooled.append(_pooled(made))
    data = {name: np.array([[cell[name] for cell in row] for row in cells]) for name in cells[0][0]}
    data |= {f"pooled_{name}": np.array([row[name] for row in pooled]) for name in pooled[0]}
    if others:
        data |= _detection(problem, clean, others, draws)
    context.progress(1.0)
    return {
        **data,
        "shift": np.array(params.shifts),
        "intensity": np.array([0.0, *(params.intensities or range(1, 6))]),
        "by": np.array(MEASURES),
        "coverage": _coverage(params),
        "channel": np.arange(channels),
        "amount_unit": np.array([CORRUPTIONS[kind].unit for kind in params.shifts]),
        "amount": amounts,
        "severities": not params.intensities,
        "pixel_mean": np.array(scale.mean),
        "pixel_std": np.array(scale.std),
        "draws": clean.draws,
        "examples": len(clean.mixture.labels),
    }


def _coverage(params: UncertaintyParams) -> Array:
    return np.arange(1, params.coverage + 1) / params.coverage


class _Cell:
    """The predictions at one intensity, and the scores that changes are paired with."""

    def __init__(self, drawn: DrawnPredictions, params: UncertaintyParams) -> None:
        self.drawn = drawn
        self.coverage = _coverage(params)
        self.values = {name: torch.from_numpy(v) for name, v in drawn.per_example().items()}
        confidence, correct = drawn.mixture.confidence, drawn.mixture.correct
        edges = [equal_edges(params.bins), adaptive_edges(confidence, params.bins)]
        indices = [bin_index(confidence, e) for e in edges]
        self.parts = BrierParts.of(confidence, correct, indices[0], params.bins)
        # The same seed and number of examples draw the same examples at every intensity: pairs.
        resampled = resampled_scores(drawn.mixture, edges, params.bootstrap, params.seed)[1]
        self.errors = {
            name: (Bins.of(confidence, correct, index, params.bins).error, resamples)
            for name, index, resamples in zip(("ece", "ece_adaptive"), indices, resampled, strict=True)
        }

    def scores(self, clean: _Cell) -> dict[str, Number]:
        """Every variable of this intensity."""
        found: dict[str, Number] = {}
        n = len(self.drawn.mixture.labels)
        for name in SCORES:
            if name in self.values:
                four = paired(clean.values[name], [self.values[name]])
            else:
                (value, draws), (before, former) = self.errors[name], clean.errors[name]
                errors = (resampled_error(d, n) if n > 1 else np.nan for d in (draws, draws - former))
                four = value, next(errors), value - before, next(errors)
            ends = ("", "_se", "_change", "_change_se")
            found |= {f"{name}{end}": number for end, number in zip(ends, four, strict=True)}
        parts = (
            self.parts.score,
            self.parts.reliability,
            self.parts.resolution,
            self.parts.uncertainty,
            self.parts.within_bin,
        )
        found |= dict(zip(PARTS, parts, strict=True))
        return found | _ranked([self.drawn], self.coverage)


def _ranked(made: list[DrawnPredictions], coverage: Array) -> dict[str, Number]:
    """Scores of the order of the examples of all predictions together, by each measure."""
    correct = np.concatenate([drawn.mixture.correct for drawn in made])
    found: dict[str, list[Any]] = {name: [] for name in ("risk", *RANKED, "error_auroc_se")}
    for by in MEASURES:
        uncertainty = np.concatenate([drawn.uncertainty(by) for drawn in made])
        ranking = Ranking.of(uncertainty, correct)
        found["risk"].append(ranking.risk(coverage))
        for name in ("aurc", "excess_aurc", "augrc", "raulc"):
            found[name].append(getattr(ranking, name))
        value, error = error_auroc(uncertainty, correct)
        found["error_auroc"].append(value)
        found["error_auroc_se"].append(error)
    return {name: np.array(values) for name, values in found.items()}


def _pooled(made: list[DrawnPredictions]) -> dict[str, Number]:
    """The order of all intensities of a shift together: one threshold for all of them.

    It has no standard error: the same examples come at every intensity.
    """
    found = _ranked(made, np.ones(1))
    return {name: found[name] for name in ("aurc", "raulc", "error_auroc")}


def _other_data(params: UncertaintyParams, context: Context) -> dict[str, Any]:
    """Data of other distributions by name."""
    given = context.inputs.get("ood")
    if given is not None and params.ood_data:
        raise InputError("uncertainty takes either the input ood or the option ood_data, not both.")
    if given is not None:
        return dict(given) if isinstance(given, Mapping) else {"ood": given}
    short = [reference.rpartition(":")[2] for reference in params.ood_data]
    names = short if len(set(short)) == len(short) else params.ood_data
    return {name: load_data(ref) for name, ref in zip(names, params.ood_data, strict=True)}


def _detection(
    problem: Problem, clean: DrawnPredictions, others: Mapping[str, Any], draws: Mapping[str, Any]
) -> dict[str, Any]:
    """How well each measure tells other data from the problem's."""
    found: dict[str, list[Any]] = {f"ood_{name}": [] for name in ("auroc", "auroc_se", "aupr", "fpr95")}
    found |= {"ood_confidence": [], "ood_examples": []}
    for data in others.values():
        other = predict_other_draws(problem, data, **draws)
        pairs = [(-clean.uncertainty(by), -other.uncertainty(by)) for by in MEASURES]
        values, errors = zip(*(auroc(*pair) for pair in pairs), strict=True)
        found["ood_auroc"].append(values)
        found["ood_auroc_se"].append(errors)
        found["ood_aupr"].append([average_precision(*pair) for pair in pairs])
        found["ood_fpr95"].append([false_accept_rate(*pair) for pair in pairs])
        found["ood_confidence"].append(other.mixture.confidence.mean())
        found["ood_examples"].append(len(other.mixture.labels))
    return {"ood": np.array(list(others)), **{name: np.array(values) for name, values in found.items()}}
