"""From Gaussian outputs to what they say of targets: probabilities of classes, means and variances."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from landscape.core.posterior.likelihood import Likelihood
from landscape.core.problem.losses import gaussian_moments

__all__ = ["probit", "target_moments"]

REACH, STEP = 8.0, 0.1
"""Standard deviations, and their step, over which the expected variance is summed: its kink at 0, where the
spread is wide, then costs a thousandth; where it is narrow, rounding."""


def probit(mean: Tensor, variance: Tensor) -> Tensor:
    """Log probabilities of Gaussian logits: log softmax(m/√(1 + π v/8)).

    The generalised probit approximation, of marginal variances alone. Of two classes with independent logits
    the difference has twice the variance of each, which it does not know.

    Args:
        mean: (..., C).
        variance: (..., C).

    Reference:
        MacKay (1992), The evidence framework applied to classification networks, equation 12; Gibbs (1997).
    """
    scaled = mean / (1.0 + math.pi / 8.0 * variance).sqrt()
    return torch.log_softmax(scaled, dim=-1)


def target_moments(mean: Tensor, variance: Tensor, likelihood: Likelihood) -> tuple[Tensor, Tensor]:
    """Means and variances of the targets of a regression with Gaussian outputs.

    The law of total variance: the variance of the mean and the expected noise. Where the outputs say the
    noise, it is the mean of softplus(r) over the Gaussian of r, a sum over a fine grid.

    Args:
        mean: Of the outputs (..., D), or (..., 2D) where they say the noise.
        variance: Of the outputs, likewise.
        likelihood: Of a regression.

    Returns:
        Means (..., D) and variances (..., D).
    """
    if likelihood.kind == "gaussian":
        return mean, variance + likelihood.noise
    centre, raw = mean.chunk(2, -1)
    spread, raw_variance = variance.chunk(2, -1)
    grid = torch.arange(-REACH, REACH + STEP / 2, STEP, dtype=mean.dtype, device=mean.device)
    weights = torch.exp(-0.5 * grid**2)
    drawn = raw[..., None] + raw_variance.sqrt()[..., None] * grid
    # as one example a row, (means, r): `gaussian_moments` alone knows what r means
    flat = drawn.reshape(-1, 1)
    noise = gaussian_moments(torch.cat([flat, flat], 1))[1].view(drawn.shape)
    return centre, spread + noise @ (weights / weights.sum())
