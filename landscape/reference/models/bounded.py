"""A network of another builder with its layers' spectral norms bounded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from landscape.imports import call
from landscape.reference.layers.spectral import spectral_bound

__all__ = ["bounded"]


def bounded(
    builder: str = "landscape.reference.models:resnet",
    kwargs: Mapping[str, Any] | None = None,
    shape: Sequence[int] = (1, 28, 28),
    bound: float = 3.0,
) -> nn.Module:
    """A network all of whose layers but the head have spectral norms of at most a bound, in training too.

    Args:
        builder: Builder of the network, ``package.module:function``.
        kwargs: Its arguments.
        shape: Shape of one input.
        bound: Largest norm of a layer.

    Raises:
        InputError: If the builder cannot be used, or as `landscape.reference.layers.spectral_bound`.

    Reference:
        Mukhoti et al. (2023), Deep deterministic uncertainty, for bounds on residual networks.
    """
    return spectral_bound(call(builder, dict(kwargs or {}), "model builder"), shape, bound)
