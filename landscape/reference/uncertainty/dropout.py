"""Monte Carlo dropout as a manifest names it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from landscape.core.behaviour.mc_dropout import MCDropout
from landscape.core.behaviour.predictive import Draws, Kind, Mixture, Predictive
from landscape.errors import InputError

__all__ = ["mc_dropout"]


def mc_dropout(
    members: Sequence[nn.Module],
    samples: int = 10,
    seed: int = 0,
    kind: Kind = "classification",
    spread: bool = False,
) -> Predictive:
    """The dropout masks of one model averaged; of several models, those of all together.

    Args:
        members: Classifiers with dropout.
        samples: Masks of each.
        seed: Seed of the masks.
        kind: What members predict that are no predictives: ``classification`` or ``regression``.
        spread: Of a regression, whether the variance is that of the masks' means alone, whatever variances
            the models put out: networks trained on squared errors have no other.

    Raises:
        InputError: If a member has no dropout, or there is no sample.

    Reference:
        Gal & Ghahramani (2016), Dropout as a Bayesian approximation.
    """
    parts = [MCDropout(member, samples, seed, kind) for member in members]
    whole = parts[0] if len(parts) == 1 else Mixture(parts)
    return _Spread(whole) if spread else whole


class _Spread(Predictive):
    """The draws of a regression without a variance of their own."""

    def __init__(self, inner: Predictive) -> None:
        super().__init__()
        self.inner = inner

    def draws(self, x: Tensor, samples: int | None = None, *, seed: int = 0) -> Draws:
        mean = self.inner.draws(x, samples, seed=seed).mean
        if mean is None:
            raise InputError("mc_dropout: the spread of means is one of regressions; these are classes.")
        return Draws("regression", mean=mean, variance=torch.zeros_like(mean))
