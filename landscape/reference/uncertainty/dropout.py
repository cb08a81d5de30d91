"""Monte Carlo dropout as a manifest names it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from landscape.core.behaviour.mc_dropout import MCDropout
from landscape.core.behaviour.predictive import Kind, Mixture, Predictive

__all__ = ["mc_dropout"]


def mc_dropout(
    members: Sequence[nn.Module], samples: int = 10, seed: int = 0, kind: Kind = "classification"
) -> Predictive:
    """The dropout masks of one model averaged; of several models, those of all together.

    Args:
        members: Classifiers with dropout.
        samples: Masks of each.
        seed: Seed of the masks.
        kind: What members predict that are no predictives: ``classification`` or ``regression``.

    Raises:
        InputError: If a member has no dropout, or there is no sample.

    Reference:
        Gal & Ghahramani (2016), Dropout as a Bayesian approximation.
    """
    parts = [MCDropout(member, samples, seed, kind) for member in members]
    return parts[0] if len(parts) == 1 else Mixture(parts)
