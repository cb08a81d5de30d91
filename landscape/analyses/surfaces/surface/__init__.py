"""``surface``: the loss over a plane through parameter space, with error bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.analyses._shared.captions import loss_unit
from landscape.analyses._shared.half_width import half_width
from landscape.analyses.surfaces._metrics import metric_numbers
from landscape.analyses.surfaces.surface.figures import figures
from landscape.analyses.surfaces.surface.options import INPUTS, SurfaceParams
from landscape.analyses.surfaces.surface.schema import SCHEMA, STEPS
from landscape.base.analysis import Analysis, Context, Cost, Metric
from landscape.base.from_zoo import FromZoo

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.problem.problem import Problem

__all__ = ["SurfaceParams", "surface"]


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """Loss at the centre and the shape of the surface."""
    unit = loss_unit({"": ds})
    curvature = (
        np.linalg.eigvalsh(ds["curvature"].values) if np.isfinite(ds["curvature"]).all() else [np.nan] * 2
    )
    radius = float(ds["radius"])
    y, x = (np.flatnonzero(ds[name].values == 0) for name in ("y", "x"))
    error = half_width(ds, "loss", at=(y[0], x[0])) if y.size and x.size else float("nan")
    return [
        Metric("loss", float(ds["center_loss"]), unit, "loss at the centre of the plane", error=error),
        Metric(
            "sharpness", float(ds["sharpness"]), unit, f"largest rise within {radius:.3g} steps", finding=True
        ),
        Metric(
            "flat radius",
            float(ds["flatness_radius"]),
            STEPS,
            f"distance to the nearest rise by {float(ds['threshold']):.3g}",
        ),
        Metric("curvature", float(curvature[-1]), unit, "larger curvature of the quadratic fit, per step²"),
        Metric("non-convex", float(ds["nonconvex_share"]), "1", "share of points with a negative curvature"),
        Metric("roughness", float(ds["roughness"]), "1", "RMS residual of sliding parabolas over the range"),
        Metric("minima", int(ds["minima"]), "1", "minima on the grid"),
        *metric_numbers(ds),
    ]


def _cost(params: SurfaceParams) -> Cost:
    points = params.steps[0] * params.steps[1]
    points = min(params.evaluations or points, points)
    passes = points * (2.0 if params.batchnorm == "recalibrate" else 1.0) + 3
    products = (100.0 if params.directions == "eigenvectors" else 0.0) + 2.0 * params.hessian
    return Cost(forwards=passes, gradients=points * float(params.gradient_norm) + 3.5 * products)


def _from_zoo(params: SurfaceParams) -> FromZoo | None:
    """Which input a zoo has to fill."""
    if params.directions == "trajectory":
        return FromZoo("trajectory", 'directions = "trajectory"', least=3)
    if params.directions == "models":
        return FromZoo("models", 'directions = "models"', least=3, most=3, main="first")
    if params.directions == "given":
        return FromZoo("vectors", 'directions = "given"', refused="takes directions as tensors")
    return None


def _compute(problem: Problem, params: SurfaceParams, context: Context) -> Mapping[str, Any]:
    from landscape.analyses.surfaces.surface.compute import compute

    return compute(problem, params, context)


surface = Analysis(
    name="surface",
    title="Loss surface",
    description=(
        "Loss and accuracy over the plane θ + x d₁ + y d₂. Random directions are independent Gaussian draws,"
        " each scaled filter by filter to the weights (Li et al. 2018, 'Visualizing the loss landscape of"
        " neural nets', section 4); biases, norm layers, embeddings of positions and class tokens do not"
        " move. Also: Hessian eigenvectors, the"
        " plane through three models (Garipov et al. 2018), the principal directions of a training run with"
        " the true loss of its checkpoints, or given vectors. Every point is computed from the centre itself"
        " and on the same examples, so that the error of a difference is small. Of a large grid, only those"
        " points are evaluated where a spline through the others errs most; `evaluations = none` is all."
    ),
    scope="checkpoint",
    params=SurfaceParams,
    schema=SCHEMA,
    compute=_compute,
    plots=figures,
    summary=summary,
    cost=_cost,
    inputs=INPUTS,
    from_zoo=_from_zoo,
)
