"""How many images a caption speaks of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["image_count"]


def image_count(datasets: Mapping[str, xr.Dataset], most: int | None = None) -> str:
    """The number of images that results are about: "128", or "64 to 128" where they differ.

    Args:
        datasets: Results with a variable ``images``.
        most: Counts above it are cut to it.
    """
    counts = [int(ds["images"]) for ds in datasets.values()]
    low, high = (min(n, most or n) for n in (min(counts), max(counts)))
    return str(low) if low == high else f"{low} to {high}"
