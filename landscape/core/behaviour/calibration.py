"""How well predicted probabilities mean what they say: scores, calibration errors, temperature."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import log_softmax, xlogy

from landscape.core.ambient import under_own_context
from landscape.core.data.batches import Batch
from landscape.core.problem.problem import Problem
from landscape.core.stats.bootstrap import each_draw
from landscape.errors import InputError

__all__ = [
    "Bins",
    "Predictions",
    "adaptive_edges",
    "bin_index",
    "calibration_error",
    "class_outputs",
    "equal_edges",
    "optimal_temperature",
    "predict",
    "resampled_scores",
]

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Predictions:
    """Predicted classes' logarithmic probabilities and the true classes.

    Attributes:
        log_p: Natural logarithm of the probabilities (N, C), float64.
        labels: True classes (N,).
        numbers: Numbers in the data of the examples, those with a label that counts (N,); ``None`` for all.
    """

    log_p: Array
    labels: Integers
    numbers: Integers | None = None

    @classmethod
    def of_logits(cls, logits: Array, labels: Integers) -> Predictions:
        """Predictions of logits (N, C)."""
        with np.errstate(invalid="ignore"):  # infinite logits: NaN
            return cls(log_softmax(np.asarray(logits, dtype=np.float64), axis=1), labels)

    def scaled(self, temperature: float) -> Predictions:
        """The predictions with logits divided by a temperature (Guo et al. 2017)."""
        return Predictions.of_logits(self.log_p / temperature, self.labels)

    @property
    def nll(self) -> Array:
        """−ln p of the true class per example (N,), in nats."""
        values: Array = -self.log_p[np.arange(len(self.labels)), self.labels]
        return values

    @property
    def correct(self) -> Array:
        """1 where the most probable class is the true one (N,); NaN where probabilities are NaN."""
        return np.where(np.isnan(self.log_p).any(1), np.nan, self.log_p.argmax(1) == self.labels)

    @property
    def confidence(self) -> Array:
        """Probability of the most probable class (N,)."""
        values: Array = np.exp(self.log_p.max(1))
        return values

    @property
    def brier(self) -> Array:
        """Σ_c (p_c − [c is true])² per example (N,), between 0 and 2 (Brier 1950)."""
        p = np.exp(self.log_p)
        p[np.arange(len(p)), self.labels] -= 1.0
        values: Array = (p**2).sum(1)
        return values

    @property
    def entropy(self) -> Array:
        """Entropy of the predicted distribution per example (N,), in nats."""
        p = np.exp(self.log_p)
        values: Array = -xlogy(p, p).sum(1)
        return values


def class_outputs(problem: Problem, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs (B, C) and labels (B,) of a batch.

    Raises:
        InputError: If the outputs are not logits (B, C) with one class index per example.
    """
    output, target = problem.output(batch)
    fits = (
        isinstance(output, torch.Tensor)
        and isinstance(target, torch.Tensor)
        and output.ndim == 2
        and output.shape[1] > 1
        and target.ndim == 1
        and not target.is_floating_point()
    )
    if not fits:
        raise InputError(
            "scores of probabilities need logits (B, C) with one class index per example; this is no such"
            " classification."
        )
    return output, target


@under_own_context
@torch.no_grad()
def predict(problem: Problem, batches: Iterable[Batch] | None = None) -> Predictions:
    """Predictions of a classifier on its batches, or on given ones.

    Outputs are read as `landscape.core.problem.outputs.Reading` says: logits or probabilities. Examples whose
    label lies outside [0, C) or is the ignore index are left out.

    Raises:
        InputError: If the outputs are not logits (B, C) with one class index per example, or no label counts.
    """
    logits, labels, numbers, start = [], [], [], 0
    for batch in problem.batches if batches is None else batches:
        output, target = class_outputs(problem, batch)
        counted = problem.reading.counts(target, output.shape[1])
        logits.append(problem.reading.log_p(output.double())[counted].cpu())
        labels.append(target[counted].cpu())
        numbers.append(start + counted.nonzero()[:, 0].cpu())
        start += batch.size
    if not sum(map(len, labels)):
        raise InputError("no label of the data counts: each is the ignore index or outside the classes.")
    found = Predictions.of_logits(torch.cat(logits).numpy(), torch.cat(labels).long().numpy())
    left_out = len(found.labels) < start
    return replace(found, numbers=torch.cat(numbers).numpy()) if left_out else found


def equal_edges(bins: int) -> Array:
    """Edges (bins + 1,) of equal-width bins over [0, 1]."""
    return np.linspace(0.0, 1.0, bins + 1)


def adaptive_edges(confidence: Array, bins: int) -> Array:
    """Edges (bins + 1,) between which equally many examples lie (Nixon et al. 2019), but for ties."""
    edges = np.quantile(confidence, np.linspace(0.0, 1.0, bins + 1))
    # Confidences outside those of this sample belong to the outer bins.
    edges[0], edges[-1] = 0.0, max(1.0, float(edges[-1]))
    return edges


def bin_index(confidence: Array, edges: Array) -> Integers:
    """The bin of each confidence: bin i holds (edges[i], edges[i + 1]], the first its lower edge too."""
    return np.searchsorted(edges[1:-1], confidence, side="left").astype(np.int64)


@dataclass(frozen=True)
class Bins:
    """Examples by confidence.

    Attributes:
        count: Examples per bin (bins,), or sums of weights.
        confidence: Mean confidence per bin; NaN if empty.
        accuracy: Share of right answers per bin; NaN if empty.
    """

    count: Array
    confidence: Array
    accuracy: Array

    @classmethod
    def of(
        cls, confidence: Array, correct: Array, index: Integers, bins: int, weights: Array | None = None
    ) -> Bins:
        """Collect examples into bins; ``weights`` (N,) count each example so many times."""
        w = np.ones_like(confidence) if weights is None else weights
        count = np.bincount(index, w, bins).astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            return cls(
                count,
                np.bincount(index, w * confidence, bins) / count,
                np.bincount(index, w * correct, bins) / count,
            )

    @property
    def error(self) -> float:
        """Expected calibration error Σ_b n_b/N |accuracy − confidence| (Guo et al. 2017, equation 3)."""
        filled = self.count > 0
        gap = np.abs(self.accuracy[filled] - self.confidence[filled])
        return float((self.count[filled] * gap).sum() / self.count.sum())


def calibration_error(predictions: Predictions, bins: int = 15) -> float:
    """Expected calibration error over equal-width bins with closed upper edges."""
    confidence = predictions.confidence
    index = bin_index(confidence, equal_edges(bins))
    return Bins.of(confidence, predictions.correct, index, bins).error


def optimal_temperature(predictions: Predictions) -> float:
    """The temperature T > 0 of least mean NLL (Guo et al. 2017).

    The mean NLL is convex in 1/T, so the root of its slope is the optimum. 0 if sharper is always better
    (every answer is right), infinity if the uniform distribution is best, 1 if nothing else is predicted, so
    that T does not matter; NaN if probabilities are.
    """
    log_p, labels = predictions.log_p, predictions.labels
    if not np.isfinite(log_p).all():
        return float("nan")
    if (log_p == log_p[:, :1]).all():  # uniform at every temperature
        return 1.0
    true = log_p[np.arange(len(labels)), labels]
    if (true == log_p.max(1)).all():
        return 0.0

    def slope(sharpening: float) -> float:
        p = np.exp(log_softmax(sharpening * log_p, axis=1))
        return float(((p * log_p).sum(1) - true).mean())

    # d/ds of the mean NLL at sharpening s = 1/T; not negative at s = 0: no sharpening helps.
    if slope(0.0) >= 0.0:
        return float("inf")
    high = 1.0
    while slope(high) < 0.0:  # ends: at least one example is wrong
        high *= 2.0
    return float(1.0 / brentq(slope, 0.0, high, xtol=1e-12, rtol=1e-12))


def resampled_scores(
    predictions: Predictions, edges: Sequence[Array], resamples: int, seed: int
) -> tuple[dict[str, Array], list[Array]]:
    """Scores of resampled examples, one resample in memory at a time.

    Args:
        predictions: The predictions.
        edges: Sets of bin edges, kept fixed over the resamples.
        resamples: Number of resamples.
        seed: Seed of the resamples.

    Returns:
        Mean NLL, accuracy, Brier score and entropy by name (resamples,), and the calibration error for
        each set of edges (resamples,).
    """
    values = {
        "nll": predictions.nll,
        "accuracy": predictions.correct,
        "brier": predictions.brier,
        "entropy": predictions.entropy,
    }
    confidence, correct = predictions.confidence, predictions.correct
    indices = [bin_index(confidence, e) for e in edges]
    n = len(confidence)
    scores = {name: np.empty(resamples) for name in values}
    errors = [np.empty(resamples) for _ in edges]
    # Every score is a mean weighted by how often each example was drawn, and nothing is copied.
    for draw, weights in enumerate(each_draw(n, resamples, seed)):
        for name, value in values.items():
            scores[name][draw] = weights @ value / n
        for error, index, e in zip(errors, indices, edges, strict=True):
            error[draw] = Bins.of(confidence, correct, index, len(e) - 1, weights).error
    return scores, errors
