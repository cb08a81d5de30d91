"""``structure``: what the Hessian is made of, where it lies in the network, how it meets the gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from landscape.analyses._shared.captions import loss_unit
from landscape.analyses.curvature.structure.figures import plots
from landscape.analyses.curvature.structure.options import StructureParams
from landscape.analyses.curvature.structure.schema import SCHEMA
from landscape.base.analysis import Analysis, Context, Cost, Metric

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.problem.problem import Problem

__all__ = ["StructureParams", "structure"]


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """How much of the gradient is in the leading space, outliers, the residual."""
    unit = loss_unit({"": ds})
    k = ds.sizes["eigenpair"]
    classes = f"; {int(ds['classes'])} classes" if "classes" in ds else ""
    metrics = [
        Metric("gradient in top k", float(ds["gradient_share"].sum()), "1", f"share of ‖∇L‖², k = {k}"),
        Metric(
            "outliers",
            int(ds["outliers"]),
            "1",
            f"eigenvalues above a significant gap, p = {float(ds['outlier_p_value']):.2g}{classes}",
        ),
        Metric("‖H − G‖", float(ds["residual_norm"]), unit, "spectral norm of Hessian − Gauss-Newton"),
    ]
    if "sharpness" in ds:  # a result of before it had an analysis of its own
        middle = ds.sizes["radius"] // 2
        rise, at = float(ds["sharpness"][middle]), float(ds["radius"][middle])
        metrics.append(
            Metric("sharpness", rise, unit, f"rise of the loss within a relative change of {at:g}")
        )
    return metrics


def _cost(params: StructureParams) -> Cost:
    """Products with H cost about 2.5 gradients, with G about 1.7."""
    pairs, ends = 10 + 3.0 * params.k, 30
    hessian = pairs + ends + params.samples + params.k + 20
    ggn = pairs + ends + params.samples + params.k + params.probes * params.steps
    return Cost(forwards=1.0, gradients=2.5 * hessian + 1.7 * ggn)


def _compute(problem: Problem, params: StructureParams, context: Context) -> Mapping[str, Any]:
    from landscape.analyses.curvature.structure.compute import compute

    return compute(problem, params, context)


structure = Analysis(
    name="structure",
    title="Structure of the Hessian",
    description=(
        "The leading eigenpairs of the Hessian H of the mean loss with weight decay, and what they are made"
        " of. Gradient: its share in the span of the eigenvectors (Gur-Ari, Roberts & Dyer 2018). Split"
        " H = G + R into the generalised Gauss-Newton matrix and the residual of second derivatives of the"
        " outputs (Sagun et al. 2017; Papyan 2019): quotients uᵀGu and uᵀRu of each eigenvector, traces,"
        " Frobenius norms, and both ends of the spectrum of R. Outliers: eigenvalues above a gap too wide for"
        " a spectrum that falls like a power law (`landscape.core.linalg.decomposition.count_outliers`), to"
        " be compared with the number of classes; and eigenvalues larger than ‖R‖. Layers: shares of each"
        " eigenvector and of the gradient, traces. Effective dimension Σ λ/(λ + α) over the eigenvalues λ"
        " of G without weight decay (MacKay 1992), with bounds of the quadrature's error. G and the"
        " effective dimension need a model that returns one tensor and a loss convex in it."
    ),
    scope="checkpoint",
    params=StructureParams,
    schema=SCHEMA,
    compute=_compute,
    plots=plots,
    summary=summary,
    cost=_cost,
)
