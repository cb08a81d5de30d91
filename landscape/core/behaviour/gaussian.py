"""Predictions of numbers: the mean and the variance of each draw, beside the targets."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landscape.core.ambient import under_own_context
from landscape.core.behaviour.predictive import Draws, Predictive
from landscape.core.data.batches import Batch
from landscape.core.problem.losses import gaussian_moments
from landscape.core.problem.passes.pieces import pieces
from landscape.core.problem.problem import Problem
from landscape.errors import InputError

__all__ = ["GaussianPredictions", "predict_gaussian"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class GaussianPredictions:
    """Gaussian predictions of S draws for N examples of D targets, float64.

    Attributes:
        means: Shape (S, N, D).
        variances: Shape (S, N, D).
        targets: Shape (N, D).
    """

    means: Array
    variances: Array
    targets: Array

    @property
    def draws(self) -> int:
        """The number S of draws."""
        return len(self.means)

    @cached_property
    def mean(self) -> Array:
        """Mean of the mixture (N, D)."""
        values: Array = self.means.mean(0)
        return values

    @cached_property
    def aleatoric(self) -> Array:
        """Mean variance of the draws (N, D): noise that every draw expects."""
        values: Array = self.variances.mean(0)
        return values

    @cached_property
    def epistemic(self) -> Array:
        """Variance of the draws' means (N, D): what they disagree in; 0 of one draw."""
        values: Array = self.means.var(0)
        return values

    @property
    def variance(self) -> Array:
        """Variance of the mixture (N, D): the sum of the two, by the law of total variance."""
        return self.aleatoric + self.epistemic

    @property
    def error(self) -> Array:
        """Target less mean (N, D)."""
        return self.targets - self.mean

    def scaled(self, unit: float) -> GaussianPredictions:
        """The same in another unit, of which the targets' own holds so many."""
        return GaussianPredictions(unit * self.means, unit**2 * self.variances, unit * self.targets)


@under_own_context
@torch.no_grad()
def predict_gaussian(
    problem: Problem, batches: Iterable[Batch] | None = None, *, samples: int | None = None, seed: int = 0
) -> GaussianPredictions:
    """One pass of a regression over its batches, or over given ones.

    A plain model is read as its loss ``gaussian_nll`` reads it: one draw.

    Args:
        problem: A predictive of a regression, or a model with that loss.
        batches: Other batches than its own.
        samples: Draws of a predictive; ``None`` for its own number.
        seed: Which draws.

    Raises:
        InputError: If it predicts no mean and variance, or the targets do not fit.
    """
    parts = []
    for batch in pieces(problem, problem.batches if batches is None else batches):
        with ExitStack() as stack:
            heard: list[Draws] | None = None
            if isinstance(problem.module, Predictive):
                heard = stack.enter_context(problem.module.heard(samples, seed=seed))
            output, target = problem.output(batch)
        draws = _draws(problem, output, heard)
        assert draws.mean is not None
        assert draws.variance is not None
        moments = draws.mean.double(), draws.variance.double()
        parts.append([part.cpu().numpy() for part in (*moments, _targets(target, draws.mean))])
    means, variances, targets = zip(*parts, strict=True)
    return GaussianPredictions(
        np.concatenate(means, 1), np.concatenate(variances, 1), np.concatenate(targets)
    )


def _draws(problem: Problem, output: object, heard: list[Draws] | None) -> Draws:
    """The draws of a batch."""
    if heard is None:
        if problem.loss_name != "gaussian_nll":
            raise InputError(
                "regression_uncertainty needs means and variances: a model with the loss 'gaussian_nll', or a"
                f" predictive of regressions; this model has the loss {problem.loss_name}."
            )
        if not isinstance(output, Tensor) or output.ndim != 2:
            raise InputError("scores of regressions need outputs (B, 2D) with one mean for each target.")
        mean, variance = gaussian_moments(output)
        return Draws("regression", mean=mean[None], variance=variance[None])
    if len(heard) != 1:
        raise InputError(
            f"the forward function calls the predictive {len(heard)} times for one batch; draws are those of"
            " one call."
        )
    if heard[0].kind != "regression":
        raise InputError(
            "regression_uncertainty needs means and variances; this predictive gives probabilities of"
            " classes. If its members are regressions, say kind = 'regression' to its builder."
        )
    return heard[0]


def _targets(target: object, mean: Tensor) -> Tensor:
    """Targets (B, D), float64."""
    if not isinstance(target, Tensor) or target.numel() != mean[0].numel():
        shape = tuple(target.shape) if isinstance(target, Tensor) else type(target).__name__
        raise InputError(f"means {tuple(mean.shape[1:])} need as many targets; got {shape}.")
    return target.reshape(mean.shape[1:]).double()
