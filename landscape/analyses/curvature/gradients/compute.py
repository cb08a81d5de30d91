"""What ``gradients`` computes, stage by stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.analyses._shared.tails import tail_of
from landscape.analyses.curvature._layers import layers_of
from landscape.analyses.curvature._operator import finite_loss
from landscape.analyses.curvature._resume import resumed_eigenpairs
from landscape.analyses.curvature._unresolved import unresolved
from landscape.analyses.curvature.gradients.options import GradientsParams
from landscape.base.analysis import Context
from landscape.core.stats.intervals import standard_error

if TYPE_CHECKING:
    from landscape.base.ledger import Piece
    from landscape.core.curvature.example_gradients import ExampleGradients
    from landscape.core.linalg.eigenpairs import Eigenpairs
    from landscape.core.linalg.operators import SymmetricOperator
    from landscape.core.problem.problem import Problem

__all__ = ["compute"]


def compute(problem: Problem, params: GradientsParams, context: Context) -> Mapping[str, Any]:
    """Moments, spectrum of the covariance, that of the Hessian; a killed run keeps the finished stages."""
    from landscape.core.curvature.example_gradients import ExampleGradients

    loss = finite_loss(problem)
    gradients = ExampleGradients(problem)
    collect = context.ledger.collect
    (found,) = collect(["moments"], lambda _: _moments(problem, gradients, params, context))
    data: dict[str, Any] = {"loss": loss, **found}
    del data["_gradient"], data["_mean"]
    notices = [str(found["notice"])]
    converged, names, sizes = True, *layers_of(problem, params.by)
    if params.k:
        (pairs,) = collect(["covariance"], lambda _: _covariance(problem, gradients, found, params, context))
        converged = bool(pairs["_converged"])
        notices.append(str(pairs["_notice"]))
        data |= {n: v for n, v in pairs.items() if not n.startswith("_")}
        data |= tail_of(data["eigenvalues"], params.resamples, params.seed)
        if params.hessian:
            (other,) = collect(["hessian"], lambda _: _hessian(problem, found, pairs, params, context))
            converged = converged and bool(other["_converged"])
            notices.append(str(other["_notice"]))
            data |= {n: v for n, v in other.items() if not n.startswith("_")}
    else:
        nothing = np.zeros(0)
        data |= {"eigenvalues": nothing, "residuals": nothing, "gradient_share": nothing, "products": 0}
        data |= tail_of(nothing, 0, 0)
    return {
        **data,
        "example": np.arange(problem.examples),
        "layer": np.array(names),
        "layer_size": np.array(sizes),
        "eigenpair": np.arange(len(data["eigenvalues"])),
        "converged": converged,
        "notice": ". ".join(filter(None, notices)),
    }


def _moments(
    problem: Problem, gradients: ExampleGradients, params: GradientsParams, context: Context
) -> Piece:
    """Noise scale and signal-to-noise ratio, exact sums over the examples."""
    from landscape.core.curvature.gradient_noise import gradient_moments, noise_scale

    share = 0.3 if params.k else 1.0
    _, sizes = layers_of(problem, params.by)
    moments, ratios = gradient_moments(
        gradients, sizes, on_progress=lambda done: context.progress(share * done)
    )
    noise, count = noise_scale(moments), moments.examples
    by_layer = moments.layer_deviations * (count / (count - 1))
    decay = problem.weight_decay * problem.theta.double().cpu()
    said = ""
    if np.isnan(noise.value):
        said = (
            f"the gradient is not told from the noise of {count} examples: ‖∇L‖² less its bias is"
            f" {noise.square:.2g}, so that there is no noise scale but only its lower end,"
            f" {noise.low:.3g}; more examples would tell"
        )
    return {
        "example_norm": moments.norms,
        "gradient_norm": np.array(float(moments.gradient.norm())),
        "trace": np.array(noise.trace),
        "trace_se": np.array(noise.trace_se),
        "square": np.array(noise.square),
        "square_se": np.array(noise.square_se),
        "noise_scale": np.array(noise.value),
        "noise_scale_low": np.array(noise.low),
        "noise_scale_high": np.array(noise.high),
        "gsnr": np.array(ratios.mean),
        "gsnr_se": np.array(ratios.mean_se),
        "layer_gsnr": ratios.layers,
        "layer_gsnr_se": ratios.layers_se,
        "layer_trace": by_layer.mean(0),
        "layer_trace_se": standard_error(by_layer, 0),
        "layer_still": ratios.still,
        "notice": np.array(said),
        "_gradient": moments.gradient.numpy(),
        "_mean": (moments.gradient - decay).numpy(),
    }


def _covariance(
    problem: Problem, gradients: ExampleGradients, found: Piece, params: GradientsParams, context: Context
) -> Piece:
    import torch

    from landscape.core.curvature.example_gradients import GradientCovariance

    operator = GradientCovariance(gradients, torch.from_numpy(found["_mean"]))
    try:
        pairs = _pairs("covariance", operator, params, context, 0.3, 0.65 if params.hessian else 1.0)
    finally:
        operator.release()
    vectors = _vectors(pairs)
    return {
        "eigenvalues": pairs.values.numpy(),
        "residuals": pairs.residuals.numpy(),
        "gradient_share": _shares(vectors, found["_gradient"]),
        "products": np.array(pairs.products),
        "_converged": np.array(pairs.converged),
        "_notice": np.array(unresolved(pairs, "LM", problem.dtype.itemsize == 8, "eigenvalues of Σ")),
        "_vectors": vectors,
    }


def _hessian(
    problem: Problem, found: Piece, covariance: Piece, params: GradientsParams, context: Context
) -> Piece:
    import torch

    from landscape.core.curvature.operator import hessian
    from landscape.core.linalg.reductions import exact_products

    with hessian(problem) as operator:
        pairs = _pairs("hessian", operator, params, context, 0.65, 1.0)
    vectors = _vectors(pairs)
    both = (torch.from_numpy(V).T for V in (covariance["_vectors"], vectors))
    overlaps = exact_products(*both).square().sum(0).clamp_max(1.0).numpy()
    return {
        "hessian_eigenvalues": pairs.values.numpy(),
        "hessian_residuals": pairs.residuals.numpy(),
        "hessian_gradient_share": _shares(vectors, found["_gradient"]),
        "hessian_overlap": overlaps,
        "overlap": np.array(overlaps.mean()),
        "hessian_products": np.array(pairs.products),
        "_converged": np.array(pairs.converged),
        "_notice": np.array(unresolved(pairs, "LM", problem.dtype.itemsize == 8, "eigenvalues of H")),
    }


def _pairs(
    name: str,
    operator: SymmetricOperator,
    params: GradientsParams,
    context: Context,
    start: float,
    end: float,
) -> Eigenpairs:
    return resumed_eigenpairs(
        operator,
        params.k,
        context.ledger,
        f"lanczos-{name}",
        tol=params.tol,
        max_products=params.max_products,
        seed=params.seed,
        vectors=True,
        on_progress=lambda p: context.progress(
            start + (end - start) * (0.9 if p.checking else 0.8 * p.converged / params.k)
        ),
    )


def _vectors(pairs: Eigenpairs) -> Any:
    assert pairs.vectors is not None
    return pairs.vectors.cpu().numpy()


def _shares(vectors: Any, gradient: Any) -> Any:
    """Shares of the gradient's square along unit vectors (P, k); NaN of a gradient that is 0."""
    along = vectors.T.astype(np.float64) @ gradient
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.square(along) / np.square(gradient).sum()
