"""Telling data of another distribution from a model's predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor

from landscape.core.ambient import under_own_context
from landscape.core.behaviour.calibration import Predictions
from landscape.core.data.batches import read_batches
from landscape.core.problem.problem import Problem
from landscape.errors import InputError
from landscape.imports import call

__all__ = ["auroc", "load_data", "predict_other"]

Array = NDArray[np.float64]


def auroc(inside: Array, outside: Array) -> tuple[float, float]:
    """P(score inside > score outside) + ½ P(equal): the area under the ROC curve, and its standard error.

    By ranks, with the error of DeLong et al. (1988), which no library that is needed anyway has. NaN if a
    score is NaN; the error is NaN for fewer than two scores of a kind.

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
    return value, float(np.sqrt(below.var(ddof=1) / m + above.var(ddof=1) / n))


def load_data(reference: str) -> Any:
    """Data that the function ``package.module:function`` returns.

    Raises:
        InputError: If there is no such function, or it fails.
    """
    return call(reference, {}, "ood_data")


@under_own_context
@torch.no_grad()
def predict_other(problem: Problem, data: Any) -> Predictions:
    """Predictions of a classifier on data of another distribution, whose labels do not count.

    Args:
        problem: The classifier.
        data: Inputs, as a tensor, or what `landscape.Problem` takes as data.

    Raises:
        InputError: If the data cannot be read, do not fit the model, or its outputs are no logits (B, C).
    """
    if isinstance(data, Tensor):
        data = data, torch.zeros(len(data), dtype=torch.long)
    size = max(batch.size for batch in problem.batches)
    batches = read_batches(data, batch_size=size, device=problem.device, dtype=problem.dtype)
    logits = []
    for batch in batches:
        try:
            output, _ = problem.output(batch)
        except RuntimeError as error:
            raise InputError(
                f"the model cannot take the out-of-distribution data: {error}; give inputs of its own shape."
            ) from error
        if not isinstance(output, Tensor) or output.ndim != 2:
            raise InputError("out-of-distribution scores need logits (B, C); this model gives none.")
        logits.append(problem.reading.log_p(output.double()).cpu())
    joined = torch.cat(logits).numpy()
    return Predictions.of_logits(joined, np.zeros(len(joined), dtype=np.int64))
