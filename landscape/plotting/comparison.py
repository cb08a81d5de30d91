"""Comparison: several results on the same axes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from landscape.errors import InputError
from landscape.plotting import plot

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["compare"]


def compare(
    results: Iterable[xr.Dataset] | Mapping[str, xr.Dataset],
    backend: Literal["plotly", "matplotlib"] = "plotly",
    figure: str | None = None,
) -> Any:
    """Draw results of one analysis on shared axes.

    Args:
        results: Datasets, or ``{label: dataset}``. Without labels each is called by its model, or
            numbered.
        backend: ``plotly`` or ``matplotlib``.
        figure: Draw only the figure of this name.

    Returns:
        The back end's figure, or a list of them that notebooks show one after the other.

    Raises:
        InputError: If there is nothing to compare, or the results are of several analyses.

    Example:
        >>> import landscape
        >>> landscape.compare([])
        Traceback (most recent call last):
        landscape.errors.InputError: there is nothing to compare: no results were given.
    """
    labelled = dict(results) if isinstance(results, Mapping) else _labelled(list(results))
    if not labelled:
        raise InputError("there is nothing to compare: no results were given.")
    return plot(labelled, backend=backend, figure=figure)


def _labelled(results: list[xr.Dataset]) -> dict[str, xr.Dataset]:
    names = [str(getattr(ds, "attrs", {}).get("model") or f"result {i + 1}") for i, ds in enumerate(results)]
    once = {name for name in names if names.count(name) == 1}
    labels = [name if name in once else f"{name} ({i + 1})" for i, name in enumerate(names)]
    return dict(zip(labels, results, strict=True))
