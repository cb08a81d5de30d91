"""Metrics of the user's along lines and over planes: how they are named, found, stored and summed up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import AfterValidator, Field

from landscape.base.analysis import NEW_OPTION, Metric
from landscape.base.params import FUNCTION
from landscape.base.schema import Variable
from landscape.core.stats.intervals import reach
from landscape.errors import InputError
from landscape.imports import REFERENCE, resolve

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["OwnMetricOption", "find_metrics", "metric_names", "metric_numbers", "metric_variables", "slug"]


def _once(references: tuple[str, ...]) -> tuple[str, ...]:
    names = [slug(reference) for reference in references]
    twice = [name for name in names if names.count(name) > 1]
    if twice:  # figures and numbers are called by the function alone
        raise ValueError(f"two metrics are called '{twice[0]}'; leave one out or rename it")
    return references


OwnMetricOption = Annotated[
    tuple[Annotated[str, Field(pattern=REFERENCE)], ...],
    Field(
        description="metrics of your own to measure at each point too: functions (output, target) -> one"
        " number per example, each package.module:function"
    ),
    AfterValidator(_once),
    FUNCTION,
    NEW_OPTION,
]


def find_metrics(references: Sequence[str]) -> dict[str, Any]:
    """Metrics by their references.

    Raises:
        InputError: If a function cannot be found or called.
    """
    found = {reference: resolve(reference, "metric") for reference in references}
    for reference, function in found.items():
        if not callable(function):
            raise InputError(f"metric '{reference}' is a {type(function).__name__}, not a function.")
    return found


def metric_variables(*grid: str) -> tuple[Variable, tuple[Variable, ...]]:
    """The coordinate of metrics, and their values on a grid."""
    dims = (*grid, "metric")
    return Variable("metric", ("metric",), "metric of the user's", "", "str", optional=True), (
        Variable("metric_value", dims, "mean over examples of a metric of the user's", "", optional=True),
        Variable("metric_se", dims, "standard error of it over examples", "", optional=True),
        Variable("center_metric", ("metric",), "its mean where no step is taken", "", optional=True),
        Variable("center_metric_se", ("metric",), "standard error of that", "", optional=True),
    )


def metric_names(datasets: Mapping[str, xr.Dataset]) -> list[str]:
    """The metrics that results hold, in the order of the first."""
    with_some = [ds for ds in datasets.values() if "metric" in ds]
    return list(dict.fromkeys(str(name) for ds in with_some for name in ds["metric"].values))


def slug(metric: str) -> str:
    """The part of a figure's name that says which metric it is of.

    Example:
        >>> slug("my.losses:Margin.of_class")
        'margin-of-class'
    """
    return metric.partition(":")[2].lower().replace(".", "-").replace("_", "-")


def metric_numbers(ds: xr.Dataset) -> list[Metric]:
    """Each metric where no step is taken, and how far it is from there at most."""
    found = []
    for name in metric_names({"": ds}):
        own = ds.sel(metric=name)
        center = float(own["center_metric"])
        half = reach(int(ds["examples"])) * float(own["center_metric_se"])
        values = own["metric_value"].values
        largest = float(np.abs(values - center).max(initial=0.0, where=~np.isnan(values)))
        short = name.partition(":")[2]
        found += [
            Metric(short, center, "1", f"mean over examples of {name} at the checkpoint", error=half),
            Metric(f"{short}: largest change", largest, "1", f"of {name} from there", finding=True),
        ]
    return found
