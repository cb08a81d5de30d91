"""The predictive of a manifest whose members are points of one chain or trajectory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from landscape.core.behaviour.posterior_samples import PosteriorSamples
from landscape.core.behaviour.predictive import Kind
from landscape.errors import InputError
from landscape.imports import call

__all__ = ["PosteriorSamples", "posterior_samples", "stored_posterior"]


def posterior_samples(members: Sequence[nn.Module], kind: Kind = "classification") -> PosteriorSamples:
    """The predictive of a manifest whose members are points of one chain or trajectory.

    Unlike the members of an ensemble they are one network: buffers have to be those of every point.

    Args:
        members: Models of one architecture, in the order of the chain.
        kind: What members predict that are no predictives: ``classification`` or ``regression``.

    Raises:
        InputError: If their parameters or buffers are not those of one network.

    Example:
        >>> chain = posterior_samples([nn.Linear(2, 3) for _ in range(4)])
        >>> chain.thetas.shape
        torch.Size([4, 9])
    """
    first, *others = members
    shapes = {name: p.shape for name, p in first.named_parameters()}
    buffers = dict(first.named_buffers())
    for place, member in enumerate(others, start=2):
        if {name: p.shape for name, p in member.named_parameters()} != shapes:
            raise InputError(
                f"posterior samples are points of one parameter space; member {place} has other parameters"
                " than member 1."
            )
        own = dict(member.named_buffers())
        if own.keys() != buffers.keys() or not all(torch.equal(own[name], buffers[name]) for name in own):
            raise InputError(
                "posterior samples share their buffers, such as statistics of BatchNorm; those of member"
                f" {place} are not those of member 1: take DeepEnsemble, in which each member keeps its own."
            )
    thetas = [torch.cat([p.detach().reshape(-1) for p in member.parameters()]) for member in members]
    return PosteriorSamples(first, torch.stack(thetas), kind)


def stored_posterior(
    samples: int,
    builder: str = "landscape.reference.models:mlp",
    kwargs: Mapping[str, Any] | None = None,
    chains: int = 1,
    kind: Kind = "classification",
) -> PosteriorSamples:
    """Builder of a posterior whose samples are a checkpoint, such as a file that `hmc_posterior` has left.

    Args:
        samples: How many samples the file holds.
        builder: Builder of the network, ``package.module:function``.
        kwargs: Its arguments.
        chains: How many chains they are of.
        kind: What the network predicts: ``classification`` or ``regression``.

    Raises:
        InputError: If the builder cannot be used, or there are no samples.
    """
    model = call(builder, dict(kwargs or {}), "model builder")
    size = sum(p.numel() for p in model.parameters())
    return PosteriorSamples(model, torch.zeros(max(samples, 0), size), kind, chains)
