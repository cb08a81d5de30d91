"""Mixtures whose components count differently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor, nn

from landscape.core.behaviour.predictive import Draws, Mixture
from landscape.errors import InputError

__all__ = ["WeightedMixture"]


class WeightedMixture(Mixture):
    """The draws of several predictives together, those of each sharing its weight.

    Args:
        members: Predictives, or classifiers.
        weights: Of each (M,), not negative, not all zero; they are divided by their sum.

    Raises:
        InputError: If they do not fit, or there are no members.
    """

    weights: Tensor

    def __init__(self, members: Sequence[nn.Module], weights: Tensor) -> None:
        super().__init__(members)
        shares = weights.double()
        if shares.shape != (len(members),) or not bool((shares >= 0).all()) or not bool(shares.sum() > 0):
            raise InputError(
                f"a mixture of {len(members)} takes as many weights, none negative and one positive; got"
                f" {weights.tolist()}."
            )
        self.register_buffer("weights", shares / shares.sum())

    def draws(self, x: Tensor, samples: int | None = None, *, seed: int = 0) -> Draws:
        """The draws of each member in turn, with their weights.

        Args:
            x: As `Mixture.draws` takes it.
            samples: As `Mixture.draws` takes it.
            seed: As `Mixture.draws` takes it.
        """
        found = super().draws(x, samples, seed=seed)
        each = found.samples // len(self.members)
        return replace(found, weights=(self.weights / each).repeat_interleave(each))
