"""Numbers that claims about networks of attention and convolution need, read off results."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import xarray as xr

__all__ = [
    "end_of_stage",
    "gain_after",
    "growth_after",
    "high_frequency_harm",
    "likeness",
    "log_mean_positive",
    "mean_gain",
    "middle",
]


def log_mean_positive(ds: xr.Dataset) -> float:
    """Logarithm of the mean of the positive eigenvalues of mini-batch Hessians."""
    return float(np.log(ds["mean_positive"]))


def high_frequency_harm(ds: xr.Dataset) -> float:
    """Accuracy lost to noise in the three highest bands, 0.7 to 0.9 π, in percentage points."""
    return float(-100 * ds["accuracy_change"].values[-3:].mean())


def _sums(ds: xr.Dataset) -> list[tuple[int, str]]:
    """Residual sums of a network in firing order, each with the kind of unit it adds."""
    found, last = [], ""
    for index, kind in enumerate(ds["kind"].values.tolist()):
        if kind in ("attention", "mlp", "convolution"):
            # an attention block of AlterNet has a convolution before its attention; the last one counts
            last = kind
        elif kind == "residual_sum":
            found.append((index, last))
    return found


def gain_after(ds: xr.Dataset, kind: str) -> float:
    """Mean ln of the gain, high over low frequencies, of the residual sums that add a kind of unit."""
    values = [float(ds["gain_high_low"].values[i]) for i, added in _sums(ds) if added == kind]
    return float(np.mean(values)) if values else float("nan")


def mean_gain(ds: xr.Dataset, kind: str) -> float:
    """Mean ln of the gain, high over low frequencies, of the units of a kind."""
    values = ds["gain_high_low"].values[ds["kind"].values == kind]
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def growth_after(ds: xr.Dataset, kind: str) -> float:
    """Mean ln of the spatial variance after a residual sum over that after the sum before."""
    variance, sums = ds["spatial_variance"].values, _sums(ds)
    steps = [
        np.log(variance[i] / variance[before]) for (before, _), (i, added) in pairwise(sums) if added == kind
    ]
    return float(np.mean(steps)) if steps else float("nan")


def end_of_stage(ds: xr.Dataset) -> float:
    """Loss by the removal of the last attention of a stage less that of the first, mean over stages."""
    names, harm = ds["unit"].values.tolist(), ds["delta_loss"].values[:, 0]
    stages: dict[str, list[float]] = {}
    for name, value in zip(names, harm, strict=True):
        if name.endswith(".attn"):
            stages.setdefault(name.split(".")[1], []).append(float(value))
    return float(np.mean([values[-1] - values[0] for values in stages.values()]))


def middle(ds: xr.Dataset) -> float:
    """Loss by the removal of an attention inside, mean, less that at the two ends of the network, mean."""
    names, harm = ds["unit"].values.tolist(), ds["delta_loss"].values[:, 0]
    found = [float(v) for name, v in zip(names, harm, strict=True) if name.endswith(".attn")]
    inside = found[1:-1]
    return float(np.mean(inside) - (found[0] + found[-1]) / 2) if inside else float("nan")


def likeness(ds: xr.Dataset | None, model: str) -> float:
    """Mean CKA over the pairs of layers of one model."""
    if ds is None:
        return float("nan")
    rows = ds["model_a"].values == model
    block = ds["cka"].values[np.ix_(rows, rows)]
    return float(block[np.triu_indices(len(block), 1)].mean())
