"""What several models, or the checkpoints of one run, make of each example."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Consistency", "Learning", "error_consistency", "learning", "true_probability"]

Array = NDArray[np.float64]


class Consistency(NamedTuple):
    """How alike two models are in which examples they have right, chance taken off.

    Attributes:
        observed: Share of examples that both have right or both have wrong.
        expected: That share if they erred independently.
        kappa: (observed − expected) / (1 − expected): 1 the same errors, 0 as by chance. NaN if both are
            always right, or both always wrong.
        influence: What each example contributes to the deviation of ``kappa`` (N,): its mean is zero, and
            the standard error of its mean is that of ``kappa``.
    """

    observed: float
    expected: float
    kappa: float
    influence: Array


def error_consistency(right: Array, other: Array) -> Consistency:
    """Cohen's κ of being right, over examples.

    Args:
        right: 1 where the first model is right (N,), or the probability that it is. NaN makes all NaN.
        other: The same of the second.

    Reference:
        Geirhos, Meding & Wichmann (2020), Beyond accuracy: quantifying trial-by-trial behaviour of CNNs and
        humans by measuring error consistency, equations 1 and 3. The error is by the delta method, with both
        accuracies estimated (Fleiss, Cohen & Everitt 1969).
    """
    same = right * other + (1.0 - right) * (1.0 - other)
    p, q, observed = right.mean(), other.mean(), same.mean()
    expected = p * q + (1.0 - p) * (1.0 - q)
    if not expected < 1.0:  # NaN too
        nothing = np.full(len(right), np.nan)
        return Consistency(float(observed), float(expected), float("nan"), nothing)
    kappa = (observed - expected) / (1.0 - expected)
    moved = (right - p) * (2.0 * q - 1.0) + (other - q) * (2.0 * p - 1.0)
    influence = ((same - observed) - (1.0 - kappa) * moved) / (1.0 - expected)
    return Consistency(float(observed), float(expected), float(kappa), influence)


class Learning(NamedTuple):
    """How examples fared over the checkpoints of a run.

    Attributes:
        learnt: The first checkpoint from which on the example is right to the end (N,), from 0; NaN if it is
            wrong at the last, or never known.
        forgotten: How many times the example was right and at the next checkpoint wrong (N,).
    """

    learnt: Array
    forgotten: Array


def learning(right: Array) -> Learning:
    """When examples are learnt for good, and how often they are forgotten.

    Args:
        right: 1 where a checkpoint is right (checkpoints, N), in the order of training.

    Reference:
        Toneva et al. (2019), An empirical study of example forgetting, definitions 1 and 2, of checkpoints
        in place of the steps at which an example is trained on.
    """
    hole = np.isnan(right).any(0)
    forgotten = np.where(hole, np.nan, np.maximum(right[:-1] - right[1:], 0.0).sum(0))
    # of each example the length of the run of right answers at the end
    run = np.cumprod(np.where(np.isnan(right), 0.0, right)[::-1], axis=0).sum(0)
    return Learning(np.where(hole | (run == 0), np.nan, len(right) - run), forgotten)


def true_probability(log_p: Array, labels: NDArray[np.int64], truth: Array | None) -> Array:
    """Probability of the true class (N,); of soft targets its mean over classes drawn from them.

    Args:
        log_p: Logarithms of probabilities (N, C).
        labels: Classes (N,).
        truth: Soft targets (N, C), or ``None``.
    """
    if truth is not None:
        values: Array = (np.exp(log_p) * truth).sum(1)
        return values
    known: Array = np.exp(log_p[np.arange(len(labels)), labels])
    return known
