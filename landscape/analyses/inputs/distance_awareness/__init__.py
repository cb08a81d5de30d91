"""``distance_awareness``: whether features keep the distances between inputs, and doubt grows with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.analyses.inputs.distance_awareness.figures import plots
from landscape.analyses.inputs.distance_awareness.options import DistanceAwarenessParams
from landscape.analyses.inputs.distance_awareness.schema import SCHEMA
from landscape.base.analysis import Analysis, Context, Cost, Metric

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.problem.problem import Problem

__all__ = ["DistanceAwarenessParams", "distance_awareness"]


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """The unevenness of the expansion, the ends of the Jacobian, and how doubt goes with distance."""
    found = []
    if "expansion" in ds:
        found.append(
            Metric(
                "expansion 99 %/1 %",
                float(ds["expansion_spread"].values[0]),
                "1",
                "quantiles of ‖h − h′‖/‖x − x′‖ over pairs of examples; 1 keeps distances up to a factor",
            )
        )
    if "jacobian_largest" in ds:
        for name, end in (("σ_max", "largest"), ("σ_min", "smallest")):
            found.append(
                Metric(
                    name,
                    float(np.median(ds[f"jacobian_{end}"])),
                    "1",
                    f"{end} singular value of the Jacobian of the features, median over examples",
                )
            )
    if "spearman" in ds:
        values = ds["spearman"].sel(space="inputs", by="entropy").values
        found.append(
            Metric(
                "doubt by distance",
                float(values.mean()),
                "1",
                "rank correlation of entropy and distance to the nearest example, mean over the other data",
            )
        )
    return found


def _compute(problem: Problem, params: DistanceAwarenessParams, context: Context) -> Mapping[str, Any]:
    from landscape.analyses.inputs.distance_awareness.compute import compute

    return compute(problem, params, context)


distance_awareness = Analysis(
    name="distance_awareness",
    title="Distance awareness",
    description=(
        "How the features of a layer carry the distances between inputs over: quantiles of the expansion"
        " ‖h − h′‖/‖x − x′‖ over pairs of examples, of an example and itself moved at random, and of examples"
        " and other data. Features that are bi-Lipschitz neither tear nor collapse distances, without which a"
        " density or kernel of features cannot see what is far from the data (Liu et al. 2020; van Amersfoort"
        " et al. 2020). Locally: the extreme singular values of the Jacobian at examples, by Lanczos on JJᵀ"
        " or JᵀJ; by layer: the exact spectral norm, of convolutions as maps of whole pictures. On other"
        " data: the rank correlation of doubt (entropy, confidence, a score of the method's own) with the"
        " distance to the nearest example, of inputs and of features. A predictive of several draws has"
        " no one feature map; of it there is the doubt alone."
    ),
    scope="checkpoint",
    takes="predictive",
    params=DistanceAwarenessParams,
    schema=SCHEMA,
    compute=_compute,
    plots=plots,
    summary=summary,
    cost=lambda params: Cost(forwards=4.0 + 2.0 * len(params.radii), gradients=1.0),
    inputs=("other",),
)
