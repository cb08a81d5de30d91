"""``gradients``: how the gradients of examples scatter, and where the Hessian meets their scatter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from landscape.analyses.curvature.gradients.figures import plots
from landscape.analyses.curvature.gradients.options import GradientsParams
from landscape.analyses.curvature.gradients.schema import SCHEMA, SQUARE_UNIT
from landscape.base.analysis import Analysis, Context, Cost, Metric

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.problem.problem import Problem

__all__ = ["GradientsParams", "gradients"]


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """Noise scale, signal-to-noise ratio, concentration of the noise, overlaps, tail."""
    low, high = float(ds["noise_scale_low"]), float(ds["noise_scale_high"])
    found = [
        Metric(
            "noise scale",
            float(ds["noise_scale"]),
            "examples",
            f"tr Σ/‖∇L‖², between {low:.3g} and {high:.3g} (95 %); NaN if ‖∇L‖² is not told from noise",
            finding=True,
        ),
        Metric("GSNR", float(ds["gsnr"]), "1", f"± {float(ds['gsnr_se']):.2g} (standard error)"),
        Metric("tr Σ", float(ds["trace"]), SQUARE_UNIT, f"± {float(ds['trace_se']):.2g} (standard error)"),
    ]
    k = ds.sizes["eigenpair"]
    if k:
        trace = float(ds["trace"])
        share = float(ds["eigenvalues"].sum()) / trace if trace else float("nan")
        stands = str(ds["tail"].item()) == "power law"
        found += [
            Metric("Σ in top k", share, "1", f"share of tr Σ in the {k} leading eigenvalues"),
            Metric(
                "gradient in Σ's top k",
                float(ds["gradient_share"].sum()),
                "1",
                f"share of ‖∇L‖² in the span of the {k} leading eigenvectors of Σ",
            ),
            Metric(
                "α of Σ",
                float(ds["alpha"]) if stands else float("nan"),
                meaning="exponent of the tail of its eigenvalues; NaN unless a power law of 50 or more",
            ),
        ]
    if "overlap" in ds:
        meaning = f"mean share of the {k} leading eigenvectors of the Hessian in the space of those of Σ"
        found.append(Metric("overlap of H and Σ", float(ds["overlap"]), "1", meaning))
    return found


def _cost(params: GradientsParams) -> Cost:
    """Two passes of gradients one by one, each some 6 gradients; 8 + 2 k products and 10 for the search."""
    products = min(18 + 2 * params.k, params.max_products or 10**9) if params.k else 0
    # Products with Σ are made of kept gradients, or cost about 2 gradients each.
    return Cost(forwards=1.0, gradients=13.0 + products * (2.0 + (2.5 if params.hessian else 0.0)))


def _compute(problem: Problem, params: GradientsParams, context: Context) -> Mapping[str, Any]:
    from landscape.analyses.curvature.gradients.compute import compute

    return compute(problem, params, context)


gradients = Analysis(
    name="gradients",
    title="Gradients of examples",
    description=(
        "How the gradients gᵢ of single examples scatter about their mean. Their covariance Σ has no part of"
        " weight decay, which moves all alike and enters ∇L = ḡ + λ_wd θ alone. Noise scale tr Σ/‖∇L‖², the"
        " batch size at which the gradient is as large as its noise, with ‖∇L‖² less its bias tr Σ/N"
        " (McCandlish, Kaplan, Amodei et al. 2018). Signal-to-noise ratio ∇L_j²/Σ_jj (GSNR; Liu, Jiang, Bai,"
        " Chen & Wang 2020), less its bias 1/N, by layer. Leading eigenpairs of Σ, by Lanczos on products"
        " with the gradients, of which all are held only within 256 MiB; the share of ∇L in their span; the"
        " share of the Hessian's leading eigenvectors in it; and a power law fitted to the eigenvalues found"
        " (Clauset, Shalizi & Newman 2009; Xie, Tang, Cai, Sun & Li 2022), which says nothing of those below"
        " them. Errors are over examples, by the jackknife. An example's gradient must not depend on others:"
        " batchnorm='batch' is refused."
    ),
    scope="checkpoint",
    params=GradientsParams,
    schema=SCHEMA,
    compute=_compute,
    plots=plots,
    summary=summary,
    cost=_cost,
)
