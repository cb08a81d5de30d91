"""What there is to say of predictions at one intensity of a shift, and at all of them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landscape.core.behaviour.brier_parts import BrierParts
from landscape.core.behaviour.calibration import (
    Bins,
    Predictions,
    adaptive_edges,
    bin_index,
    equal_edges,
    resampled_scores,
)
from landscape.core.behaviour.drawn import MEASURES, DrawnPredictions, predict_other_draws
from landscape.core.behaviour.ood import average_precision, detection_auroc, false_accept_rate
from landscape.core.behaviour.perturbations import paired_answers
from landscape.core.behaviour.selective import Ranking, error_auroc, window_spearman
from landscape.core.problem.problem import Problem
from landscape.core.stats.bootstrap import resampled_error

__all__ = ["ShiftScores", "detection", "pooled", "ranked"]

Array = NDArray[np.float64]


class ShiftScores:
    """The scores of predictions at one intensity, and what changes of scores are paired with.

    Args:
        drawn: The predictions.
        bins: Number of confidence bins.
        bootstrap: Resamples over examples for the errors of calibration errors.
        seed: Seed of the resamples: one seed draws the same examples at every intensity, which pairs them.
    """

    def __init__(self, drawn: DrawnPredictions, bins: int, bootstrap: int, seed: int) -> None:
        self.drawn = drawn
        self._values = drawn.per_example()
        confidence, correct = drawn.mixture.confidence, drawn.mixture.correct
        edges = [equal_edges(bins), adaptive_edges(confidence, bins)]
        indices = [bin_index(confidence, e) for e in edges]
        self._parts = BrierParts.of(confidence, correct, indices[0], bins)
        resampled = resampled_scores(drawn.mixture, edges, bootstrap, seed)[1]
        self._calibration = {
            name: (Bins.of(confidence, correct, index, bins), resamples)
            for name, index, resamples in zip(("ece", "ece_adaptive"), indices, resampled, strict=True)
        }

    def numbers(self, clean: ShiftScores) -> dict[str, Any]:
        """Each score with ``_se``, ``_change`` from the unchanged images and ``_change_se``; the Brier parts.

        Calibration errors also have an ``_interval`` (2,), since they are biased.

        ``agreement`` is the share of answers that stay what they are on the unchanged images (of one class
        per example; else NaN).

        Args:
            clean: Scores of the unchanged images, of as many bins and of the same resamples.
        """
        found: dict[str, Any] = {}
        ends = ("", "_se", "_change", "_change_se")
        n = self.drawn.mixture.count
        # one draw never disagrees with itself, whatever the examples
        shares = ("accuracy", "disagreement") if self.drawn.draws > 1 else ("accuracy",)
        for name, values in self._values.items():
            pair = clean.drawn.mixture, clean._values[name], self.drawn.mixture, values
            four = paired_answers(*pair, answers=name in shares)
            found |= {f"{name}{end}": number for end, number in zip(ends, four, strict=True)}
        for name, (part, gaps) in self._calibration.items():
            before, former = clean._calibration[name]
            draws, others = (np.abs(g).sum(1) for g in (gaps, former))
            errors = [resampled_error(d, n) if n > 1 else float("nan") for d in (draws, draws - others)]
            four = part.error, errors[0], part.error - before.error, errors[1]
            found |= {f"{name}{end}": number for end, number in zip(ends, four, strict=True)}
            found[f"{name}_interval"] = part.error_interval(gaps, n)
        found |= _agreement(clean.drawn.mixture, self.drawn.mixture)
        return found | {
            "brier_top": self._parts.score,
            "reliability": self._parts.reliability,
            "resolution": self._parts.resolution,
            "uncertainty_term": self._parts.uncertainty,
            "within_bin": self._parts.within_bin,
        }


def _agreement(clean: Predictions, made: Predictions) -> dict[str, float]:
    """Share of answers that are the same, with its standard error; NaN where an example has several."""
    if made.examples is not None or clean.log_p.shape != made.log_p.shape:
        return {"agreement": float("nan"), "agreement_se": float("nan")}
    hole = np.isnan(clean.log_p).any(1) | np.isnan(made.log_p).any(1)
    same = np.where(hole, np.nan, clean.log_p.argmax(1) == made.log_p.argmax(1))
    return {"agreement": float(same.mean()), "agreement_se": made.error(same)}


def ranked(made: Sequence[DrawnPredictions], coverage: Array) -> dict[str, Array]:
    """Scores of the order of all examples together, by each of `MEASURES` along the first axis.

    Args:
        made: Predictions, of one intensity or of several in one ranking.
        coverage: Shares of examples answered (k,).

    Returns:
        ``risk`` (measures, k), and ``aurc``, ``excess_aurc``, ``augrc``, ``raulc``, ``error_auroc`` and its
        ``_se``, ``window_spearman`` (measures,); see `landscape.core.behaviour.selective`.
    """
    correct = np.concatenate([drawn.mixture.correct for drawn in made])
    several = made[0].mixture.examples is not None
    # the same examples come at every intensity
    examples = np.concatenate([drawn.mixture.places for drawn in made]) if several else None
    rows: list[dict[str, Any]] = []
    for by in MEASURES:
        uncertainty = np.concatenate([drawn.uncertainty(by) for drawn in made])
        ranking = Ranking.of(uncertainty, correct)
        value, error = error_auroc(uncertainty, correct, examples)
        areas = {name: getattr(ranking, name) for name in ("aurc", "excess_aurc", "augrc", "raulc")}
        areas["window_spearman"] = window_spearman(uncertainty, correct)
        rows.append({"risk": ranking.risk(coverage), **areas, "error_auroc": value, "error_auroc_se": error})
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def pooled(made: Sequence[DrawnPredictions]) -> dict[str, Array]:
    """The order of all intensities of a shift in one ranking, as one threshold would meet them.

    There is no standard error: the same examples come at every intensity.
    """
    found = ranked(made, np.ones(1))
    return {f"pooled_{name}": found[name] for name in ("aurc", "raulc", "error_auroc", "window_spearman")}


def detection(
    problem: Problem,
    clean: DrawnPredictions,
    others: Mapping[str, Any],
    *,
    samples: int | None = None,
    seed: int = 0,
) -> dict[str, Array]:
    """How well each measure tells other data from the problem's, along axes (other data, measures).

    Args:
        problem: The classifier or predictive.
        clean: Its predictions on its own data.
        others: Data of other distributions by name, as `predict_other_draws` takes them.
        samples: As there.
        seed: As there.
    """
    rows: list[dict[str, Any]] = []
    for data in others.values():
        other = predict_other_draws(problem, data, samples=samples, seed=seed)
        pairs = [(-clean.uncertainty(by), -other.uncertainty(by)) for by in MEASURES]
        own = clean.mixture.examples, other.mixture.examples
        values, errors = zip(*(detection_auroc(*pair, *own) for pair in pairs), strict=True)
        rows.append(
            {
                "ood_auroc": values,
                "ood_auroc_se": errors,
                "ood_aupr": [average_precision(*pair) for pair in pairs],
                "ood_fpr95": [false_accept_rate(*pair) for pair in pairs],
                "ood_confidence": other.mixture.confidence.mean(),
                "ood_examples": other.mixture.count,
            }
        )
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}
