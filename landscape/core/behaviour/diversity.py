"""How models differ in what they predict, and how much of an average's gain that is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

__all__ = ["Ambiguity", "brier_ambiguity", "expected_disagreement", "kl_divergence", "nll_ambiguity"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Ambiguity:
    """A score of members and of their average, per example: members = average + gain, exactly.

    Attributes:
        members: Mean of the members' scores (N,).
        average: Score of the average of their probabilities (N,).
        gain: What members differ by (N,), never negative, from a formula that subtracts no scores.
    """

    members: Array
    average: Array
    gain: Array


def nll_ambiguity(log_p: Array, labels: NDArray[np.int64], truth: Array | None = None) -> Ambiguity:
    """The negative log-likelihood of members and of their average; the gain is the Jensen gap.

    Gain: ln of the mean over members of p_m(y)/g(y), with g the geometric mean of the p_m(y). Infinite where
    some members, not all, give the true class no probability; NaN where all do.

    Args:
        log_p: Log probabilities of M members (M, N, C).
        labels: True classes (N,).
        truth: Probabilities of soft targets (N, C): numbers are then expectations over a label drawn from
            them.
    """
    if truth is not None:
        rows = [nll_ambiguity(log_p, np.full(len(labels), c)) for c in range(log_p.shape[2])]
        found = (np.stack([getattr(row, name) for row in rows], 1) for name in ("members", "average", "gain"))
        return Ambiguity(*(np.where(truth > 0, truth * values, 0.0).sum(1) for values in found))
    true = log_p[:, np.arange(len(labels)), labels]
    with np.errstate(invalid="ignore"):  # −∞ less −∞, where no member expects the class
        middle = true.mean(0)
        gain: Array = logsumexp(true - middle, axis=0) - np.log(len(true))
        average = -(logsumexp(true, axis=0) - np.log(len(true)))
    gain = np.where(np.isneginf(middle) & np.isfinite(average), np.inf, np.maximum(gain, 0.0))
    return Ambiguity(-middle, average, gain)


def brier_ambiguity(log_p: Array, labels: NDArray[np.int64], truth: Array | None = None) -> Ambiguity:
    """The Brier score of members and of their average; the gain is the variance of the probabilities.

    Args:
        log_p: Log probabilities of M members (M, N, C).
        labels: True classes (N,).
        truth: Probabilities of soft targets (N, C).

    Reference:
        Krogh & Vedelsby (1995), Neural network ensembles, cross validation, and active learning, equation 6,
        for each class.
    """
    p = np.exp(log_p)
    mean = p.mean(0)
    left = (
        0.0 if truth is None else 1.0 - (truth**2).sum(1)
    )  # what no prediction can help: see `Predictions.brier`
    if truth is None:
        truth = np.zeros(p.shape[1:])
        truth[np.arange(len(labels)), labels] = 1.0
    members = ((p - truth) ** 2).sum(2).mean(0) + left
    return Ambiguity(members, ((mean - truth) ** 2).sum(1) + left, ((p - mean) ** 2).sum(2).mean(0))


def expected_disagreement(accuracy: float, other: float, classes: int) -> float:
    """How often two models of these accuracies would differ, were their errors independent.

    Errors are taken to spread evenly over the wrong classes: 1 − ab − (1 − a)(1 − b)/(C − 1).

    Args:
        accuracy: Accuracy a.
        other: Accuracy b.
        classes: Number C of classes.

    Example:
        >>> expected_disagreement(1.0, 0.75, 10)
        0.25
    """
    return 1.0 - accuracy * other - (1.0 - accuracy) * (1.0 - other) / (classes - 1)


def kl_divergence(log_p: Array, log_q: Array) -> Array:
    """Σ_c p (ln p − ln q) per example (N,), in nats; infinite where q excludes what p allows.

    Args:
        log_p: Log probabilities (N, C).
        log_q: Log probabilities (N, C).
    """
    p = np.exp(log_p)
    with np.errstate(invalid="ignore"):  # both −∞, where p is 0 and the term is too
        terms = np.where(p > 0, p * (log_p - log_q), np.where(np.isnan(p), np.nan, 0.0))
    values: Array = terms.sum(1)
    return values
