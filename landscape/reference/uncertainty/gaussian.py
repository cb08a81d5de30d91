"""Heads of regression: networks that put out the mean and the variance of a Gaussian, or a mean alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from landscape.core.behaviour.predictive import Draws, Mixture, Point
from landscape.core.problem.losses import VARIANCE_FLOOR, gaussian_outputs
from landscape.errors import InputError

__all__ = ["GaussianHead", "spread_ensemble"]


class GaussianHead(Point):
    """A network of a regression as a predictive of one draw.

    It puts out what the network does, so that landscapes of the loss ``gaussian_nll`` are the network's own.

    Args:
        model: A module from inputs (N, ...) to (N, 2D): D means, then D numbers r, the variance being
            softplus(r) + 1e-6. With a `variance`, a module to means (N, D) alone.
        variance: Of every target, where the network puts out means alone, in squared units of the targets;
            1 makes the loss ½ of the squared error and a constant.

    Raises:
        InputError: If the variance is negative or infinite.

    Reference:
        Nix & Weigend (1994), Estimating the mean and variance of the target probability distribution.
    """

    def __init__(self, model: nn.Module, variance: float | None = None) -> None:
        super().__init__(model, "regression")
        if variance is not None and not 0.0 <= variance < math.inf:
            raise InputError(f"GaussianHead: a variance is finite and not negative; got {variance}.")
        self.variance = variance

    def draws(self, x: Tensor, samples: int | None = None, *, seed: int = 0) -> Draws:
        """The one draw there is, whatever `samples` and `seed`."""
        if self.variance is None:
            return super().draws(x, samples, seed=seed)
        mean = self.model(x)
        return Draws("regression", mean=mean[None], variance=torch.full_like(mean, self.variance)[None])

    def forward(self, x: Tensor) -> Tensor:
        """Means and what the variances are made of (N, 2D); variances below 1e-6 become 1e-6.

        Args:
            x: Inputs (N, ...).
        """
        if self._heard is not None:
            return super().forward(x)
        output: Tensor = self.model(x)
        if self.variance is None:
            return output
        return gaussian_outputs(output, torch.full_like(output, max(self.variance, VARIANCE_FLOOR)))


class _Mean(Point):
    """The means of a regression without a variance of their own."""

    def draws(self, x: Tensor, samples: int | None = None, *, seed: int = 0) -> Draws:
        mean = super().draws(x).mean
        assert mean is not None
        return Draws("regression", mean=mean, variance=torch.zeros_like(mean))


def spread_ensemble(members: Sequence[nn.Module]) -> Mixture:
    """An ensemble whose variance is the spread of its members' means, whatever variances they put out.

    What ensembles of networks trained on squared errors were before members put out a variance: the baseline
    of deep ensembles. One member alone has the variance 0, and errors of infinite negative log-likelihood.

    Args:
        members: Networks as `GaussianHead` takes them, or such heads.

    Raises:
        InputError: If there are none.

    Reference:
        Lakshminarayanan et al. (2017), Simple and scalable predictive uncertainty, section 3.2.
    """
    return Mixture([_Mean(member, "regression") for member in members])
