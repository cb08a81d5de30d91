"""Half widths of 95 % intervals of the numbers of a result, for its summary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.core.stats.intervals import reach

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["half_width"]


def half_width(ds: xr.Dataset, name: str, count: str = "examples", at: tuple[Any, ...] = ()) -> float:
    """Half the 95 % interval of a number: of ``NAME_interval``, else by ``NAME_se``; NaN where neither is.

    Args:
        ds: The result.
        name: The number.
        count: The variable or attribute that says how many values a standard error is over.
        at: Where in the arrays.

    Example:
        >>> import xarray as xr
        >>> half_width(xr.Dataset({"loss_se": 0.5}, {}, {"examples": 1000}), "loss")
        1.0
    """
    if f"{name}_interval" in ds:
        low, high = ds[f"{name}_interval"].values
        return float(np.asarray(high - low)[at]) / 2
    if f"{name}_se" not in ds:
        return float("nan")
    said = ds[count] if count in ds else ds.attrs.get(count)
    return (2.0 if said is None else reach(float(said))) * float(ds[f"{name}_se"].values[at])
