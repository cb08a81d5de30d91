"""From Gaussian logits to probabilities of classes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["probit"]


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
