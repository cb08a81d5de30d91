"""What captions and axes of several analyses say in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["LIKELIHOODS", "LOSS_UNIT", "loss_unit", "weight_decays"]

LOSS_UNIT = "loss/example"
"""Unit of a mean loss, and of its curvature, whatever the loss; see `loss_unit` for axes."""

LIKELIHOODS = {"cross_entropy", "gaussian_nll"}
"""Losses by name that are in nats."""


def loss_unit(datasets: Mapping[str, xr.Dataset]) -> str:
    """The unit of the loss for axis labels: nats if all datasets used one of `LIKELIHOODS`."""
    losses = {ds.attrs.get("loss") for ds in datasets.values()}
    return "nats/example" if len(losses) == 1 and losses <= LIKELIHOODS else LOSS_UNIT


def weight_decays(datasets: Mapping[str, xr.Dataset]) -> str:
    """What captions say of the weight decay in the losses of results: how much, or that there is none."""
    if not all("weight_decay" in ds.attrs for ds in datasets.values()):
        return "weight decay included"
    found = {float(ds.attrs["weight_decay"]) for ds in datasets.values()}
    if found == {0.0}:
        return "without weight decay"
    return f"with weight decay {' or '.join(f'{value:g}' for value in sorted(found))}"
