"""``compression``: what pruning and rounding the weights cost, and whether curvature foresees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.analyses._shared.captions import loss_unit
from landscape.analyses.curvature.compression.figures import plots
from landscape.analyses.curvature.compression.options import CompressionParams, ways
from landscape.analyses.curvature.compression.schema import SCHEMA
from landscape.base.analysis import Analysis, Context, Cost, Metric

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.problem.problem import Problem

__all__ = ["CompressionParams", "compression"]


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """The strongest compression that keeps the accuracy within a point, and what it saves."""
    unit = loss_unit({"": ds})
    numbers = [
        Metric("parameters", int(ds["parameters"]), "1", "parameters of the whole model"),
        Metric(
            "compressed",
            float(ds["layer_size"].sum() / ds["parameters"]),
            "1",
            "share of the parameters that are compressed: chosen matrices and kernels",
        ),
        Metric("multiply-adds", float(ds["dense_multiply_adds"]), "1/example", "of the whole model"),
        *_smallest(ds),
        Metric("largest Δ loss", float(np.max(ds["loss_change"].values)), unit, "largest change of the loss"),
    ]
    if "ratio" in ds:
        ratio = ds["ratio"].values
        known = ratio[np.isfinite(ratio)]
        middle = float(np.median(known)) if known.size else float("nan")
        numbers.append(
            Metric("measured / foreseen", middle, "1", "loss change over g·δ + ½δᵀHδ, median over all ways")
        )
    return numbers


def _smallest(ds: xr.Dataset) -> list[Metric]:
    """The way of fewest bytes that keeps the accuracy; nothing where there is no accuracy to keep."""
    change, sizes = ds["accuracy_change"].values, ds["bytes"].values
    if not np.isfinite(change).any():
        return []
    kept = np.flatnonzero(change >= -0.01)
    best = int(kept[np.argmin(sizes[kept])]) if len(kept) else -1
    return [
        Metric(
            "smallest that keeps",
            str(ds["perturbation"].values[best]) if len(kept) else "none",
            "1",
            "the way of fewest bytes that loses a point of accuracy at most",
            finding=True,
        ),
        Metric(
            "its size",
            float(sizes[best] / ds["dense_bytes"]) if len(kept) else float("nan"),
            "1",
            "bytes over those of the whole model",
        ),
    ]


def _cost(params: CompressionParams, problem: Problem | None = None) -> Cost:
    """A pass for each way, and with layers for each weight; a product, of some 2.5 gradients, likewise."""
    count = len(list(ways(params)))
    weights = 20
    if problem is not None:
        from landscape.core.weights.compressible import compressible

        weights = len(compressible(problem.module))
    passes = count * (1 + weights) if params.layers else count
    products = (count * weights if params.layers else count) + min(60, params.max_products)
    return Cost(forwards=3.0 + passes + params.repeats, gradients=(1.0 + 2.5 * products) * params.curvature)


def _compute(problem: Problem, params: CompressionParams, context: Context) -> Mapping[str, Any]:
    from landscape.analyses.curvature.compression.compute import compute

    return compute(problem, params, context)


compression = Analysis(
    name="compression",
    title="Compression",
    description=(
        "Matrices and kernels are pruned (Han et al. 2015) to several shares or rounded to several numbers of"
        " bits, symmetric and uniform (Jacob et al. 2018), without training on; biases and norms stay. Each"
        " is a step δ of the weights: the change of the mean loss, without weight decay, and of the accuracy,"
        " with errors paired by example, beside what curvature foresees: g·δ + ½δᵀHδ by one exact product"
        " with the Hessian (LeCun et al. 1990), and ½ tr(H)‖δ‖²/P, which takes δ as equal in all directions,"
        " in all and layer by layer (HAWQ: Dong et al. 2020). Both are expansions about δ = 0 and fail for"
        " large steps. With it stand the parameters that are not zero, multiply-adds of linear and"
        " convolution layers, bytes of a simple code, and on request the time of a forward pass of the whole"
        " model: the compression is simulated, so that its own time is the same."
    ),
    scope="checkpoint",
    params=CompressionParams,
    schema=SCHEMA,
    compute=_compute,
    plots=plots,
    summary=summary,
    cost=_cost,
)
