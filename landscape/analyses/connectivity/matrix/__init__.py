"""``connectivity``: barriers between all models of a group, the tree of their saddles, and soups."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from landscape.analyses.connectivity._profiles import group_loss_unit, passes_of_point
from landscape.analyses.connectivity.matrix.figures import figures
from landscape.analyses.connectivity.matrix.options import ConnectivityParams
from landscape.analyses.connectivity.matrix.schema import SCHEMA
from landscape.base.analysis import Analysis, Context, Cost, Metric
from landscape.core.stats.hypothesis import holm

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.problem.problem import Problem

__all__ = ["ConnectivityParams", "connectivity"]


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """Mean barrier of the loss over pairs, and how many barriers exceed the noise."""
    unit = group_loss_unit(ds)
    level = float(json.loads(ds.attrs["parameters"])["level"])
    above = np.triu_indices(ds.sizes["model"], 1)
    joined = np.isfinite(ds["distance"].values[0][above])
    metrics = [
        Metric("pairs", int(joined.sum()), "1", "pairs of models of one architecture"),
        Metric(
            "pairs apart", int((~joined).sum()), "1", "pairs of unlike architectures, which no line joins"
        ),
    ]
    for kind in ds["alignment"].values.astype(str):
        part = ds.sel(alignment=kind, split="train")
        loss = part.sel(quantity="loss")
        barrier, p = loss["barrier_chord"].values[above][joined], loss["p_value"].values[above][joined]
        error = part.sel(quantity="error")["barrier_chord"].values[above][joined]
        metrics += [
            Metric(
                f"loss barrier, {kind}",
                _mean(barrier),
                unit,
                "mean over pairs of the largest gap to the chord",
            ),
            Metric(f"error barrier, {kind}", _mean(error), "%", "likewise of the error, percentage points"),
            Metric(
                f"barriers, {kind}",
                int((holm(p) < level).sum()),
                "1",
                f"pairs whose loss barrier exceeds the noise at level {level:g} (Holm)",
            ),
        ]
    return metrics


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else float("nan")


def _compute(
    problems: Mapping[str, Problem], params: ConnectivityParams, context: Context
) -> Mapping[str, Any]:
    from landscape.analyses.connectivity.matrix.compute import compute

    return compute(problems, params, context)


def _cost(params: ConnectivityParams, problem: Problem | None = None) -> Cost:
    # per model of the group: the pairs grow with its square, which is not known here
    points = 2.0 * (params.steps + 2 * params.refine) * (2 if params.align else 1)
    return Cost(forwards=points * passes_of_point(problem, params.batchnorm))


connectivity = Analysis(
    name="connectivity",
    title="Connectivity of a group",
    description=(
        "Barriers on the straight line between every two models of one architecture, as trained and after the"
        " units of the second were put in the order of the first (Ainsworth et al. 2023), by every definition"
        " in use, with paired bootstrap intervals and a test of no barrier. Models of unlike architecture"
        " cannot be joined by a path of weights: their entries stay empty. The tree joins models at the"
        " highest loss between them (minimum spanning forest over saddles, Draxler et al. 2018). Soups are"
        " averages of all models of one architecture, or of those that lower the loss (Wortsman et al. 2022);"
        " aligned ones are averages after alignment to the first model. The greedy choice looks at held-out"
        " data if there are any."
    ),
    scope="group",
    params=ConnectivityParams,
    schema=SCHEMA,
    compute=_compute,
    plots=figures,
    summary=summary,
    cost=_cost,
    inputs=("test_data",),
)
