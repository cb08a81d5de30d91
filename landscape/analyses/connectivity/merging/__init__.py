"""``merging``: one model made of a group's weights, against its members and their ensemble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.analyses._shared.captions import LOSS_UNIT
from landscape.analyses.connectivity.merging.figures import figures
from landscape.analyses.connectivity.merging.options import MergingParams
from landscape.analyses.connectivity.merging.schema import SCHEMA
from landscape.base.analysis import Analysis, Context, Cost, Metric
from landscape.core.stats.intervals import reach

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.problem.problem import Problem

__all__ = ["MergingParams", "merging"]


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """The merge with the lowest loss, on held-out data if there are any, beside members and ensemble."""
    part = ds.isel(split=-1)
    kinds, losses = part["kind"].values.astype(str), part["loss"].values
    half = reach(int(part["examples"]))
    known = np.flatnonzero((kinds == "merge") & np.isfinite(losses))
    where = f"{part['split'].item()} data"
    metrics = []
    if known.size:
        best = part.isel(entry=int(known[losses[known].argmin()]))
        metrics += [
            Metric("best merge", str(best["entry"].item()), "1", f"that of the lowest loss on {where}"),
            Metric(
                "loss above the members",
                float(best["loss_change"]),
                LOSS_UNIT,
                f"of the best merge, less the mean of the members' losses, on {where}",
                finding=True,
                error=half * float(best["loss_change_se"]),
            ),
            Metric(
                "accuracy, best merge",
                100.0 * float(best["accuracy"]),
                "%",
                f"on {where}",
                error=100.0 * half * float(best["accuracy_se"]),
            ),
        ]
    accuracy = 100.0 * part["accuracy"].values
    metrics.append(
        Metric("accuracy, members", float(accuracy[kinds == "member"].mean()), "%", f"their mean, on {where}")
    )
    ensemble = part.isel(entry=int(np.flatnonzero(kinds == "ensemble")[0]))
    metrics.append(
        Metric(
            "accuracy, ensemble",
            100.0 * float(ensemble["accuracy"]),
            "%",
            f"of averaged predictions, on {where}",
            error=100.0 * half * float(ensemble["accuracy_se"]),
        )
    )
    return metrics


def _compute(problems: Mapping[str, Problem], params: MergingParams, context: Context) -> Mapping[str, Any]:
    from landscape.analyses.connectivity.merging.compute import compute

    return compute(problems, params, context)


def _cost(params: MergingParams) -> Cost:
    """By model of the group: its own passes, and its share of those of each merge."""
    orders = 2 if params.align is not None else 1
    methods = params.methods or ("mean", "fisher", "regmean")
    # A merge is recalibrated and measured, which the models of the group share; ten outputs are usual.
    gradients = orders * (10.0 if params.fisher == "exact" else 1.0) if "fisher" in methods else 0.0
    forwards = 2.0 + orders * (len(methods) + 2.0 * ("regmean" in methods))
    return Cost(forwards=forwards, gradients=gradients, seconds_per_million=2.0 * (orders - 1))


merging = Analysis(
    name="merging",
    title="Merged models",
    description=(
        "Single models made of the weights of a group: their mean (Wortsman et al. 2022), the mean weighted"
        " by the diagonal of each one's Fisher matrix (Matena & Raffel 2022), the layers whose outputs are"
        " nearest to those of all models' layers (RegMean, Jin et al. 2023), with a base the sum of what"
        " they learnt since (task arithmetic, Ilharco et al. 2023) or of what they agree on (TIES, Yadav et"
        " al. 2023), and of two the middle of the great circle (Shoemake 1985, SLERP). Each is merged as"
        " trained and, except with a base, after units were put in one order, of all models at once"
        " (Crisostomi et al. 2024) or in that of the first (Ainsworth et al. 2023). Loss and accuracy stand"
        " beside those of the models and of the ensemble of their predictions, on the same examples. Where"
        " all Fisher values are zero, in directions that no layer's input has, and of biases and norms in"
        " RegMean, the plain mean is taken (`note`)."
    ),
    scope="group",
    params=MergingParams,
    schema=SCHEMA,
    compute=_compute,
    plots=figures,
    summary=summary,
    cost=_cost,
    inputs=("base", "test_data"),
)
