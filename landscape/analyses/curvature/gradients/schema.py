"""What a result of ``gradients`` holds."""

from __future__ import annotations

from landscape.analyses._shared.captions import LOSS_UNIT
from landscape.analyses._shared.tails import tail_variables, tail_verdict
from landscape.base.schema import Schema, Variable

__all__ = ["SCHEMA", "SQUARE_UNIT"]

SQUARE_UNIT = LOSS_UNIT.replace("/", "²/") + "²"
"""Of the covariance of gradients and its eigenvalues."""

_MOMENTS = (
    Variable("example_norm", ("example",), "norm ‖gᵢ‖ of the gradient of the example's loss", LOSS_UNIT),
    Variable("gradient_norm", (), "norm of the gradient ∇L, weight decay included", LOSS_UNIT),
    Variable("trace", (), "tr Σ, the total variance of the gradients of examples", SQUARE_UNIT),
    Variable("trace_se", (), "standard error of the trace over examples", SQUARE_UNIT),
    Variable("square", (), "‖∇L‖² less its bias tr Σ/N; may be negative", SQUARE_UNIT),
    Variable("square_se", (), "standard error of square over examples", SQUARE_UNIT),
    Variable("noise_scale", (), "noise scale tr Σ/‖∇L‖²; NaN if the debiased ‖∇L‖² is ≤ 0", "examples"),
    Variable("noise_scale_low", (), "lower end of its 95 % interval over examples", "examples"),
    Variable("noise_scale_high", (), "upper end; infinite where ‖∇L‖² may as well be nothing", "examples"),
    Variable("gsnr", (), "signal-to-noise ratio ∇L_j²/Σ_jj − 1/N, mean over parameters"),
    Variable("gsnr_se", (), "standard error of gsnr over examples"),
    Variable("layer_gsnr", ("layer",), "mean of the ratio over the layer's parameters"),
    Variable("layer_gsnr_se", ("layer",), "standard error of layer_gsnr over examples"),
    Variable("layer_trace", ("layer",), "the layer's part of tr Σ", SQUARE_UNIT),
    Variable("layer_trace_se", ("layer",), "standard error of layer_trace over examples", SQUARE_UNIT),
    Variable("layer_size", ("layer",), "number of parameters of the layer", kind="int"),
    Variable(
        "layer_still",
        ("layer",),
        "those whose gradient is the same for all examples, which have no ratio",
        kind="int",
    ),
)

_SPECTRA = (
    Variable("eigenvalues", ("eigenpair",), "eigenvalue of Σ", SQUARE_UNIT),
    Variable("residuals", ("eigenpair",), "residual norm ‖Σw − λw‖, a bound on its error", SQUARE_UNIT),
    Variable("gradient_share", ("eigenpair",), "share (w·∇L)²/‖∇L‖² of the gradient along w"),
    *tail_variables("the eigenvalues of Σ found"),
    tail_verdict(),
    Variable("hessian_eigenvalues", ("eigenpair",), "eigenvalue of the Hessian", LOSS_UNIT, optional=True),
    Variable(
        "hessian_residuals", ("eigenpair",), "residual norm of the Hessian's pair", LOSS_UNIT, optional=True
    ),
    Variable(
        "hessian_gradient_share",
        ("eigenpair",),
        "share (u·∇L)²/‖∇L‖² of the gradient along the Hessian's eigenvector u",
        optional=True,
    ),
    Variable(
        "hessian_overlap",
        ("eigenpair",),
        "share of the Hessian's eigenvector u in the span of the leading eigenvectors of Σ",
        optional=True,
    ),
    Variable("overlap", (), "mean of hessian_overlap: 1 if both leading spaces are one", optional=True),
)

SCHEMA = Schema(
    version=1,
    coords=(
        Variable("example", ("example",), "index of the example in the data", "", kind="int"),
        Variable("layer", ("layer",), "layer, in the model's order", "", kind="str"),
        Variable("eigenpair", ("eigenpair",), "rank by falling |λ|", "", kind="int"),
    ),
    variables=(
        *_MOMENTS,
        *_SPECTRA,
        Variable("loss", (), "loss at the checkpoint", LOSS_UNIT),
        Variable("converged", (), "whether all eigenpairs are within tolerance", "", "bool"),
        Variable("products", (), "products with Σ", kind="int"),
        Variable("hessian_products", (), "products with the Hessian", kind="int", optional=True),
        Variable(
            "notice", (), "what the examples do not tell, and what would", "", kind="str", optional=True
        ),
    ),
)
