"""``ntk``: the empirical neural tangent kernel of a checkpoint, and how it meets the targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from landscape.analyses.curvature.ntk.figures import plots
from landscape.analyses.curvature.ntk.options import NtkParams
from landscape.analyses.curvature.ntk.schema import SCHEMA, UNIT
from landscape.base.analysis import Analysis, Context, Cost, Metric

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.problem.problem import Problem

__all__ = ["NtkParams", "ntk"]


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """Alignment, ranks, the largest eigenvalue."""

    def ends(name: str) -> str:
        return f"{float(ds[f'{name}_low']):.4g} to {float(ds[f'{name}_high']):.4g} (95 %)"

    k = ds.sizes["eigenpair"]
    return [
        Metric(
            "kernel alignment",
            float(ds["alignment"]),
            "1",
            f"yᵀΘy/(‖Θ‖_F ‖y‖²), {ends('alignment')}",
            finding=True,
        ),
        Metric("targets in top k", float(ds["label_share"].sum()), "1", f"share of ‖y‖² in {k} eigenvectors"),
        Metric("effective rank", float(ds["effective_rank"]), "1", f"of Θ, {ends('effective_rank')}"),
        Metric("λ max of Θ", float(ds["eigenvalues"].max()), UNIT, "largest eigenvalue"),
        Metric("tr Θ", float(ds["trace"]), UNIT, f"sum of all, {ends('trace')}"),
    ]


def _cost(params: NtkParams) -> Cost:
    """About 8 + 2 k products, 10 for the search, and those of the probes; some 2 gradients each."""
    pairs = min(8 + 2 * params.k + (10 if params.search else 0), params.max_products or 10**9)
    return Cost(forwards=2.0, gradients=1.0 + 2.0 * (pairs + params.probes * params.steps))


def _compute(problem: Problem, params: NtkParams, context: Context) -> Mapping[str, Any]:
    from landscape.analyses.curvature.ntk.compute import compute

    return compute(problem, params, context)


ntk = Analysis(
    name="ntk",
    title="Tangent kernel",
    description=(
        "The empirical neural tangent kernel Θ = JJᵀ (Jacot, Gabriel & Hongler 2018) of the Jacobian J of"
        " all outputs of all examples (examples × outputs rows, the outputs of an example together) by the"
        " parameters, at the checkpoint. Its leading eigenvalues, which are N times those of the Fisher"
        " matrix under half squared error; trace, Frobenius norm, effective rank exp H(λ/Σλ) (Roy &"
        " Vetterli 2007); alignment yᵀΘy/(‖Θ‖_F ‖y‖²) with the centred one-hot targets (Cristianini,"
        " Shawe-Taylor, Elisseeff & Kandola 2001; Baratin et al. 2021), and the share of these in its"
        " leading eigenvectors. By Lanczos on products with JᵀJ, of the same eigenvalues: neither Θ nor J"
        " is ever formed, and a matrix of P × P only where P is at most probes · steps. ‖Jᵀy‖² is one"
        " gradient. Without weight decay; whatever softmax or loss follows the outputs has no part in it."
        " Errors are over the probes of the rest of the spectrum. Outputs must not depend on other"
        " examples: batchnorm='batch' is refused."
    ),
    scope="checkpoint",
    params=NtkParams,
    schema=SCHEMA,
    compute=_compute,
    plots=plots,
    summary=summary,
    cost=_cost,
)
