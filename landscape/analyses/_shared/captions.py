"""What captions and axes of several analyses say in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal

from landscape.base.interval import Interval
from landscape.core.stats.intervals import FEW, reach

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "LIKELIHOODS",
    "LOSS_UNIT",
    "data_word",
    "error_bars",
    "loss_unit",
    "of_data",
    "weight_decays",
]

LOSS_UNIT = "loss/example"
"""Unit of a mean loss, and of its curvature, whatever the loss; see `loss_unit` for axes."""

LIKELIHOODS = {"cross_entropy", "gaussian_nll"}
"""Losses by name that are in nats."""

TOKENS = {"causal_lm", "token_cross_entropy"}
"""Those that are in nats of a token."""


def loss_unit(datasets: Mapping[str, xr.Dataset]) -> str:
    """The unit of the loss for axis labels: nats if all datasets used one of `LIKELIHOODS` or of `TOKENS`."""
    losses = {ds.attrs.get("loss") for ds in datasets.values()}
    if losses and losses <= TOKENS:
        return "nats/token"
    return "nats/example" if len(losses) == 1 and losses <= LIKELIHOODS else LOSS_UNIT


def of_data(datasets: Mapping[str, xr.Dataset], what: str = "loss") -> str:
    """A quantity with the split that it is of, where the manifest states one: "test loss".

    Where none is stated, and held-out data were measured beside the problem's, these are the training data.

    Example:
        >>> import xarray as xr
        >>> of_data({"a": xr.Dataset(attrs={"data_split": "test"})}), of_data({"a": xr.Dataset()})
        ('test loss', 'loss')
    """
    stated = {str(ds.attrs.get("data_split", "")) for ds in datasets.values()}
    word = stated.pop() if len(stated) == 1 else ""
    beside = all("split" in ds.coords and "test" in ds["split"].values for ds in datasets.values())
    if not word and beside and datasets:
        word = "train"
    return f"{'training' if word == 'train' else word} {what}".strip()


def data_word(ds: xr.Dataset, split: str) -> str:
    """How to call a split of a result: the problem's own data by what the manifest says they are."""
    stated = str(ds.attrs.get("data_split", ""))
    if split != "train" or not stated:
        return split
    return f"{stated}, as given" if stated in ds["split"].values[1:] else stated


def error_bars(counts: Iterable[float], over: str, kind: Literal["Bars", "Bands"] = "Bands") -> Interval:
    """What error bars of 95 % are: two standard errors, more of them where few values make the error.

    Args:
        counts: How many values each error comes from, such as the examples of each result.
        over: What the errors are over, or of.
        kind: "Bands" or "Bars".

    Example:
        >>> str(error_bars([5], "over probes"))
        "Bands: 95 % intervals, ±2.78 standard errors over probes (Student's factor)."
    """
    known = sorted({count for count in counts if count >= 2}, reverse=True)
    factors = list(dict.fromkeys(f"{reach(count):.3g}" for count in known)) or ["2"]
    said = factors[0] if len(factors) == 1 else f"{factors[0]} to {factors[-1]}"
    few = " (Student's factor)" if known and known[-1] < FEW else ""
    return Interval(f"{over}{few}", f"±{said} standard errors", kind)


def weight_decays(datasets: Mapping[str, xr.Dataset]) -> str:
    """What captions say of the weight decay in the losses of results: how much, or that there is none."""
    if not all("weight_decay" in ds.attrs for ds in datasets.values()):
        return "weight decay included"
    found = {float(ds.attrs["weight_decay"]) for ds in datasets.values()}
    if found == {0.0}:
        return "without weight decay"
    return f"with weight decay {' or '.join(f'{value:g}' for value in sorted(found))}"
