"""How well predicted probabilities mean what they say: scores, calibration errors, temperature."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.sparse import csr_array
from scipy.special import log_softmax, xlogy
from torch import Tensor

from landscape.core.ambient import under_own_context
from landscape.core.data.batches import Batch
from landscape.core.problem.answers.classification import Answers, Classification, classification_of
from landscape.core.problem.passes.folding import folding
from landscape.core.problem.passes.pieces import pieces
from landscape.core.problem.problem import Problem
from landscape.core.stats.bootstrap import draw_blocks, folded_interval
from landscape.core.stats.clusters import cluster_means, clustered_error
from landscape.core.stats.intervals import all_equal_error, reach, standard_error
from landscape.errors import InputError

__all__ = [
    "Bins",
    "Gathered",
    "Predictions",
    "adaptive_edges",
    "bin_index",
    "calibration_error",
    "equal_edges",
    "expected_nll",
    "optimal_temperature",
    "predict",
    "resampled_scores",
]

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Predictions:
    """Predicted classes' logarithmic probabilities and the true classes, one row for each answer.

    An answer is the class of an example, or of one of its tokens or pixels, or one of its labels, which is a
    yes or no: `landscape.core.problem.answers.classification`. Means are over all answers, so that they equal
    those of a plain problem whose examples are these answers; errors count examples (`error`).

    A soft target is a distribution over classes: each score is its expectation over a label drawn from it, so
    that of one-hot targets it is that of the class itself.

    Attributes:
        log_p: Natural logarithm of the probabilities (N, C), float64; of a label, of no and yes (N, 2).
        labels: True classes (N,); of a soft target, its most probable one.
        numbers: Numbers in the data of the examples, those with a label that counts (n,); ``None`` for all.
        truth: Probabilities of soft targets (N, C); ``None`` if each has one class.
        examples: The example of each answer (N,), from 0 to n − 1; ``None`` if each has one answer.
        kind: What an answer is, as `landscape.core.problem.answers.classification.Classification.name` says.
    """

    log_p: Array
    labels: Integers
    numbers: Integers | None = None
    truth: Array | None = None
    examples: Integers | None = None
    kind: str = "classes"

    @classmethod
    def of_logits(cls, logits: Array, labels: Integers) -> Predictions:
        """Predictions of logits (N, C)."""
        return cls(_log_softmax(logits), labels)

    def with_logits(self, logits: Array) -> Predictions:
        """Other predictions (N, C) of the same answers."""
        return replace(self, log_p=_log_softmax(logits))

    def scaled(self, temperature: float) -> Predictions:
        """The predictions with logits divided by a temperature (Guo et al. 2017)."""
        return self.with_logits(self.log_p / temperature)

    @property
    def count(self) -> int:
        """Number n of examples."""
        return len(self.labels) if self.examples is None else int(self.examples[-1]) + 1

    @property
    def clusters(self) -> Integers:
        """The example of each answer (N,)."""
        return np.arange(len(self.labels)) if self.examples is None else self.examples

    @property
    def places(self) -> Integers:
        """The number in the data of the example of each answer (N,)."""
        return self.clusters if self.numbers is None else self.numbers[self.clusters]

    def error(self, values: Array) -> float:
        """Standard error of a mean over answers (N,), whose examples are independent; NaN of one example."""
        if self.examples is not None:
            return clustered_error(values, self.examples)
        return float(standard_error(values))

    def by_example(self, values: Array) -> Array:
        """Mean over the answers of each example (n,)."""
        return values if self.examples is None else cluster_means(values, self.examples)

    @property
    def nll(self) -> Array:
        """−ln p of the true class per answer (N,), in nats; of soft targets −Σ_c t_c ln p_c."""
        if self.truth is not None:
            return expected_nll(self.log_p, self.truth)
        values: Array = -self.log_p[np.arange(len(self.labels)), self.labels]
        return values

    @property
    def correct(self) -> Array:
        """1 where the most probable class is the true one (N,); NaN where probabilities are NaN.

        Of soft targets the probability t_k of the most probable class k. A label is answered with yes where
        that is more probable than no.
        """
        best = self.log_p.argmax(1)
        right: Any = best == self.labels if self.truth is None else self.truth[np.arange(len(best)), best]
        return np.where(np.isnan(self.log_p).any(1), np.nan, right)

    @property
    def confidence(self) -> Array:
        """Probability of the most probable class (N,)."""
        values: Array = np.exp(self.log_p.max(1))
        return values

    @property
    def brier(self) -> Array:
        """Σ_c (p_c − [c is true])² per answer (N,), between 0 and 2 (Brier 1950).

        Of soft targets Σ p² − 2 Σ p t + 1, the expectation over a label drawn from t. Of a label, whose
        classes are no and yes, it is twice the (p − y)² of the Brier score of yes alone.
        """
        p = np.exp(self.log_p)
        if self.truth is not None:
            soft: Array = ((p - self.truth) ** 2).sum(1) + 1.0 - (self.truth**2).sum(1)
            return soft
        p[np.arange(len(p)), self.labels] -= 1.0
        values: Array = (p**2).sum(1)
        return values

    @property
    def entropy(self) -> Array:
        """Entropy of the predicted distribution per answer (N,), in nats."""
        p = np.exp(self.log_p)
        values: Array = -xlogy(p, p).sum(1)
        return values


def _log_softmax(logits: Array) -> Array:
    with np.errstate(invalid="ignore"):  # infinite logits: NaN
        values: Array = log_softmax(np.asarray(logits, dtype=np.float64), axis=1)
    return values


def expected_nll(log_p: Array, truth: Array) -> Array:
    """−Σ_c t_c ln p_c over the last axis, where 0 ln 0 is 0."""
    with np.errstate(invalid="ignore"):
        terms = np.where((truth == 0) & ~np.isnan(log_p), 0.0, truth * log_p)
    values: Array = -terms.sum(-1)
    return values


class Gathered:
    """The answers of batches, put together once all have come.

    Args:
        what: What an answer is.
    """

    def __init__(self, what: Classification) -> None:
        self.what = what
        self._parts: list[tuple[Tensor, Tensor | None, Tensor]] = []
        self._start = 0

    def add(self, answers: Answers, size: int) -> None:
        """Keep the true classes of a batch of so many examples."""
        truth = None if answers.truth is None else answers.truth.cpu()
        self._parts.append((answers.labels.cpu(), truth, self._start + answers.rows.cpu()))
        self._start += size

    def predictions(self, logits: Array) -> Predictions:
        """Predictions of these logits (N, C).

        Raises:
            InputError: If there is no answer.
        """
        labels, truths, rows = zip(*self._parts, strict=True)
        if not sum(map(len, labels)):
            raise InputError("no label of the data counts: each is the ignore index or outside the classes.")
        made = Predictions.of_logits(logits, torch.cat(labels).long().numpy())
        numbers, examples = np.unique(torch.cat(rows).numpy(), return_inverse=True)
        if len(numbers) < self._start:
            made = replace(made, numbers=numbers)
        if self.what.several:
            made = replace(made, examples=examples.astype(np.int64))
        if self.what.soft:
            truth = torch.cat(truths).numpy()
            # One-hot targets and labels of 0 and 1 are classes, and go the way of those.
            if not np.isin(truth, (0.0, 1.0)).all():
                return replace(made, truth=truth, kind=f"{self.what.name}, soft targets")
        return replace(made, kind=self.what.name)


@under_own_context
@torch.no_grad()
def predict(problem: Problem, batches: Iterable[Batch] | None = None) -> Predictions:
    """Predictions of a classifier on its batches, or on given ones.

    What an answer is, the problem's loss says (`landscape.core.problem.answers.classification`). Answers
    whose label lies outside [0, C), or is the ignore index, are left out, as are examples that have no other.

    Raises:
        InputError: If it is no classification, or no label counts.
    """
    what = classification_of(problem)
    gathered, logits = Gathered(what), []
    for batch in pieces(problem, problem.batches if batches is None else batches):
        with folding(problem):
            answers = what.answers(*problem.output(batch))
        logits.append(answers.log_p.cpu())
        gathered.add(answers, batch.size)
    return gathered.predictions(torch.cat(logits).numpy())


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
    def gaps(self) -> Array:
        """Accuracy less confidence in each bin, times the bin's share of all examples; 0 if empty (bins,)."""
        gap = np.where(self.count > 0, self.accuracy - self.confidence, 0.0)
        values: Array = self.count * gap / self.count.sum()
        return values

    @property
    def error(self) -> float:
        """Expected calibration error Σ_b n_b/N |accuracy − confidence| (Guo et al. 2017, equation 3)."""
        filled = self.count > 0
        gap = np.abs(self.accuracy[filled] - self.confidence[filled])
        return float((self.count[filled] * gap).sum() / self.count.sum())

    def error_interval(self, draws: Array, examples: int) -> Array:
        """The 95 % interval of the calibration error (2,); it may leave the error outside, which is biased.

        Args:
            draws: The gaps in resamples of the examples (resamples, bins), as of `resampled_scores`.
            examples: How many examples were drawn.
        """
        ends = folded_interval(self.gaps, draws, examples=examples)
        right = np.nansum(self.count * self.accuracy) / self.count.sum()
        if right in (0.0, 1.0):  # all resamples repeat it, but the true share, and so a gap, may differ
            width, error = reach(examples) * all_equal_error(examples), self.error
            ends = np.array([min(ends[0], max(error - width, 0.0)), max(ends[1], width - error)])
        return ends


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
    if predictions.truth is not None:
        true = -expected_nll(log_p, predictions.truth)
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
    """Scores of resampled examples, some resamples in memory at a time.

    Args:
        predictions: The predictions. Their examples are drawn, each with all of its answers.
        edges: Sets of bin edges, kept fixed over the resamples.
        resamples: Number of resamples.
        seed: Seed of the resamples.

    Returns:
        Mean NLL, accuracy, Brier score and entropy by name (resamples,), and for each set of edges what
        `Bins.gaps` are (resamples, bins), whose absolute values sum to the calibration error.
    """
    values = {
        "nll": predictions.nll,
        "accuracy": predictions.correct,
        "brier": predictions.brier,
        "entropy": predictions.entropy,
    }
    confidence, correct = predictions.confidence, predictions.correct
    # Bins stay as they are, so that the gap of each is a sum over its examples, and linear in the counts.
    gaps = [
        csr_array(
            (correct - confidence, (np.arange(len(correct)), bin_index(confidence, e))),
            shape=(len(correct), len(e) - 1),
        )
        for e in edges
    ]
    table = np.stack(list(values.values()), 1)
    scores, errors = [], []
    for weights in draw_blocks(predictions.count, resamples, seed, len(confidence)):
        if predictions.examples is not None:  # answers come with their example, so that their number varies
            weights = weights[:, predictions.examples]
        n = weights.sum(1)
        scores.append(weights @ table / n[:, None])
        errors.append([weights @ gap / n[:, None] for gap in gaps])
    joined = dict(zip(values, np.concatenate(scores).T, strict=True))
    return joined, [np.concatenate(parts) for parts in zip(*errors, strict=True)]
