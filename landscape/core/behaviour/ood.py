"""Telling data of another distribution from a model's predictions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor

from landscape.core.ambient import under_own_context
from landscape.core.behaviour.calibration import Predictions
from landscape.core.problem.answers.classification import classification_of
from landscape.core.problem.door.conversions import other_batches
from landscape.core.problem.passes.folding import folding
from landscape.core.problem.passes.pieces import pieces
from landscape.core.problem.problem import Problem
from landscape.core.stats.clusters import clustered_auroc
from landscape.core.stats.intervals import answered_error
from landscape.errors import InputError, one_line
from landscape.imports import call

__all__ = [
    "auroc",
    "average_precision",
    "detection_auroc",
    "example_numbers",
    "false_accept_rate",
    "load_data",
    "outputs_on_other",
    "predict_other",
]

Array = NDArray[np.float64]


def auroc(inside: Array, outside: Array) -> tuple[float, float]:
    """P(score inside > score outside) + ½ P(equal): the area under the ROC curve, and its standard error.

    By ranks, with the error of DeLong et al. (1988), which no library that is needed anyway has; where every
    score of a kind lies above all others, that of a share of which all are right. NaN if a score is NaN; the
    error is NaN for fewer than two scores of a kind.

    Args:
        inside: Scores (m,) of the model's own data, which should be the higher ones.
        outside: Scores (n,) of the other data.

    Example:
        >>> auroc(np.array([0.9, 0.8]), np.array([0.1, 0.8]))[0]
        0.875
    """
    m, n = len(inside), len(outside)
    scores = np.concatenate([inside, outside])
    if np.isnan(scores).any():
        return float("nan"), float("nan")
    together = rankdata(scores)
    # A rank among all less the rank among one's own kind counts the others below, ties by half.
    below = (together[:m] - rankdata(inside)) / n  # share of the others that each one lies above
    above = 1.0 - (together[m:] - rankdata(outside)) / m
    value = float(below.mean())
    if min(m, n) < 2:
        return value, float("nan")
    return value, float(answered_error(np.sqrt(below.var(ddof=1) / m + above.var(ddof=1) / n), min(m, n)))


def detection_auroc(
    inside: Array, outside: Array, own: NDArray[np.int64] | None, other: NDArray[np.int64] | None
) -> tuple[float, float]:
    """As `auroc`, of answers of which an example may have several: the error counts examples.

    Args:
        inside: Scores (m,) of the answers to the model's own data.
        outside: Scores (n,) of those to the other data.
        own: The example of each answer to the own data (m,); ``None`` if each has one.
        other: Likewise (n,).
    """
    if own is None or other is None:
        return auroc(inside, outside)
    weights = np.repeat([1.0, 0.0], [len(inside), len(outside)])
    clusters = np.concatenate([own, int(own.max()) + 1 + other])
    return clustered_auroc(np.concatenate([inside, outside]), weights, 1.0 - weights, clusters)


def average_precision(inside: Array, outside: Array) -> float:
    """Mean precision of finding the other data by low scores, over their recall; the area under that curve.

    Examples of one score enter together, so that their order does not matter. NaN if a score is NaN or there
    are no other data.

    Args:
        inside: Scores (m,) of the model's own data, which should be the higher ones.
        outside: Scores (n,) of the other data.

    Reference:
        Hendrycks & Gimpel (2017), A baseline for detecting misclassified and out-of-distribution examples,
        section 2, with the other data as the positive class.

    Example:
        >>> average_precision(np.array([0.9, 0.5]), np.array([0.1, 0.7]))
        0.8333333333333333
    """
    scores = np.concatenate([inside, outside])
    if np.isnan(scores).any() or not len(outside):
        return float("nan")
    values, place = np.unique(scores, return_inverse=True)
    other = np.repeat([0.0, 1.0], [len(inside), len(outside)])
    found = np.bincount(place, other, len(values))
    precision = np.cumsum(found) / np.cumsum(np.bincount(place, minlength=len(values)))
    return float((found * precision).sum() / len(outside))


def false_accept_rate(inside: Array, outside: Array, accepted: float = 0.95) -> float:
    """Share of the other data that pass a threshold which lets at least 95 % of the own data pass.

    NaN if a score is NaN or either is empty.

    Args:
        inside: Scores (m,) of the model's own data, which should be the higher ones.
        outside: Scores (n,) of the other data.
        accepted: Share of the own data to let pass.

    Reference:
        Liang et al. (2018), Enhancing the reliability of out-of-distribution image detection, section 4
        ("FPR at 95 % TPR", with the own data as the positive class).

    Example:
        >>> false_accept_rate(np.array([0.9, 0.8]), np.array([0.1, 0.8]))
        0.5
    """
    if not len(inside) or not len(outside) or np.isnan(inside).any() or np.isnan(outside).any():
        return float("nan")
    count = int(np.ceil(accepted * len(inside) - 1e-9))  # 0.95 · 20 is 19, not 20, whatever its last bit
    threshold = np.sort(inside)[len(inside) - count]
    return float((outside >= threshold).mean())


def load_data(reference: str, option: str = "ood_data") -> Any:
    """Data that the function ``package.module:function`` returns.

    Args:
        reference: The function.
        option: What names it, for the sentence.

    Raises:
        InputError: If there is no such function, or it fails.
    """
    return call(reference, {}, option)


@under_own_context
@torch.no_grad()
def predict_other(problem: Problem, data: Any) -> Predictions:
    """Predictions of a classifier on data of another distribution, whose labels do not count.

    Of tokens and pixels, those whose label is the ignore index are left out, if the data come with labels of
    their shape.

    Args:
        problem: The classifier.
        data: Inputs, as a tensor, or what `landscape.Problem` takes as data.

    Raises:
        InputError: If the data cannot be read, do not fit the model, or its outputs are of another form.
    """
    what = classification_of(problem)
    logits, rows, start = [], [], 0
    for output, target in outputs_on_other(problem, data):
        kept = what.kept(output, target)
        log_p = what.log_p(output)
        logits.append(log_p[kept].cpu())
        each = len(log_p) // max(len(output), 1)
        rows.append(start + torch.arange(len(output)).repeat_interleave(each)[kept.cpu()])
        start += len(output)
    joined = torch.cat(logits).numpy()
    made = Predictions.of_logits(joined, np.zeros(len(joined), dtype=np.int64))
    return replace(made, examples=example_numbers(torch.cat(rows)) if what.several else None, kind=what.name)


def example_numbers(rows: Tensor) -> NDArray[np.int64]:
    """Numbers of the examples of answers (N,), from 0 on without gaps."""
    return np.unique(rows.numpy(), return_inverse=True)[1].astype(np.int64)


def outputs_on_other(problem: Problem, data: Any) -> Iterator[tuple[Tensor, Any]]:
    """Outputs and targets of a classifier on data of another distribution, batch by batch.

    Args:
        problem: The classifier.
        data: Inputs, as a tensor, or what `landscape.Problem` takes as data.

    Raises:
        InputError: If the data cannot be read, do not fit the model, or its outputs are of another form than
            those of the problem's own data.
    """
    what = classification_of(problem)
    if isinstance(data, Tensor):
        data = data, torch.zeros(len(data), dtype=torch.long)
    for batch in pieces(problem, other_batches(problem, data)):
        try:
            with folding(problem):
                output, target = problem.output(batch)
        except InputError:
            raise
        except Exception as error:  # a user's model fails in any way
            raise InputError(
                f"the model cannot take the out-of-distribution data: {one_line(error)}; give inputs of its"
                " own shape."
            ) from error
        if not isinstance(output, Tensor) or not what.of_probabilities(output):
            raise InputError("out-of-distribution scores need logits (B, C); this model gives none.")
        yield output, target
