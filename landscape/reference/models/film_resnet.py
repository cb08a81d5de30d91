"""Residual networks of several members that share their convolutions."""

from __future__ import annotations

from typing import Any

from landscape.reference.models.resnet import resnet
from landscape.reference.uncertainty.film import FiLMEnsemble, film

__all__ = ["film_resnet"]


def film_resnet(
    members: int = 4, gain: float = 2.0, center: float = 1.0, member: int | None = None, **network: Any
) -> FiLMEnsemble:
    """A FiLM-Ensemble of residual networks: one `resnet`, with norms for each of several members.

    Convolutions and head are, for one seed, those of `resnet` before training. With one member and gain 0 it
    is that network.

    Args:
        members: Members.
        gain: How much they differ at the start: 0 for identical members, the control. At 0.5 members of
            small networks are nearly the same, at 2 they make an ensemble.
        center: What their scales are drawn about: 1, or 0 as published.
        member: Which member predicts alone, from the same file; ``None`` for the mean of all.
        network: Arguments of `resnet`.

    Returns:
        A predictive from images (N, in_channels, H, W) to log mean probabilities (N, classes).

    Raises:
        InputError: If a size is not positive, an option unknown, or there is no such member.

    Reference:
        Turkoglu et al. (2022), FiLM-Ensemble.
    """
    made = film(resnet(**network), members, gain, center)
    return made if member is None else FiLMEnsemble(made.network, member)
