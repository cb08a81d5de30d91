"""What a result of ``structure`` holds."""

from __future__ import annotations

from landscape.analyses._shared.captions import LOSS_UNIT
from landscape.base.schema import Schema, Variable

__all__ = ["SCHEMA"]

_PARTS = {"": "the Hessian H", "ggn_": "the Gauss-Newton matrix G", "residual_": "R = H − G"}


def _totals(prefix: str, matrix: str) -> tuple[Variable, ...]:
    """Traces and norms of one matrix."""
    return (
        Variable(f"{prefix}trace", (), f"trace of {matrix}", LOSS_UNIT),
        Variable(f"{prefix}trace_se", (), f"standard error of {prefix}trace", LOSS_UNIT),
        Variable(f"{prefix}frobenius", (), f"Frobenius norm of {matrix}", LOSS_UNIT),
        Variable(f"{prefix}frobenius_se", (), f"standard error of {prefix}frobenius", LOSS_UNIT),
        Variable(
            f"{prefix}layer_trace", ("layer",), f"trace of the layer's diagonal block of {matrix}", LOSS_UNIT
        ),
        Variable(f"{prefix}layer_trace_se", ("layer",), f"standard error of {prefix}layer_trace", LOSS_UNIT),
    )


_EIGENPAIRS = (
    Variable("eigenvalues", ("eigenpair",), "eigenvalue λ of the Hessian", LOSS_UNIT),
    Variable("residuals", ("eigenpair",), "residual norm ‖Hu − λu‖", LOSS_UNIT),
    Variable("ggn_eigenvalues", ("eigenpair",), "eigenvalue of the Gauss-Newton matrix G", LOSS_UNIT),
    Variable("ggn_residuals", ("eigenpair",), "residual norm of the pair of G", LOSS_UNIT),
    Variable("ggn_overlap", ("eigenpair",), "share of u in the span of the k eigenvectors of G"),
    Variable("ggn_quotient", ("eigenpair",), "Gauss-Newton part uᵀGu of λ", LOSS_UNIT),
    Variable("residual_quotient", ("eigenpair",), "residual part uᵀ(H − G)u of λ", LOSS_UNIT),
    Variable("gradient_overlap", ("eigenpair",), "component u·∇L of the gradient", LOSS_UNIT),
    Variable("gradient_share", ("eigenpair",), "share (u·∇L)²/‖∇L‖² of the gradient"),
    Variable("layer_share", ("layer", "eigenpair"), "share of the layer in ‖u‖²"),
    Variable("gradient_layer_share", ("layer",), "share of the layer in ‖∇L‖²"),
    Variable("layer_size", ("layer",), "number of parameters of the layer", kind="int"),
)

_OUTLIERS = (
    Variable("outliers", (), "eigenvalues above a significant gap; 0 without one", kind="int"),
    Variable("outlier_gap", (), "ratio of the last outlier to the next eigenvalue"),
    Variable("outlier_p_value", (), "probability of so wide a gap in a spectrum without one"),
    Variable("gap_score", ("eigenpair",), "width of the gap below, i ln(λ_i/λ_i+1) over its typical value"),
    Variable("above_residual", (), "eigenvalues among the k larger than ‖H − G‖", kind="int"),
    Variable("classes", (), "number of classes", kind="int", optional=True),
    Variable("residual_max", (), "largest eigenvalue of H − G", LOSS_UNIT),
    Variable("residual_min", (), "smallest eigenvalue of H − G", LOSS_UNIT),
    Variable("residual_norm", (), "spectral norm of H − G", LOSS_UNIT),
    Variable("residual_norm_error", (), "residual norm of the pairs behind it", LOSS_UNIT),
)

_DIMENSION = (
    Variable("effective_dimension", ("alpha",), "effective dimension Σ λ/(λ + α) of G without weight decay"),
    Variable("effective_dimension_se", ("alpha",), "its standard error over probes"),
    Variable("effective_dimension_low", ("alpha",), "lower bound from the quadrature, of the mean"),
    Variable("effective_dimension_high", ("alpha",), "upper bound from the quadrature, of the mean"),
)

_VERDICTS = (
    Variable("loss", (), "loss at the checkpoint", LOSS_UNIT),
    Variable("gradient_norm", (), "norm of the gradient at the checkpoint", LOSS_UNIT),
    Variable("converged", (), "whether the eigenpairs of H and G are within tolerance", "", "bool"),
    Variable("notice", (), "which eigenvalues are not resolved, and what would", "", "str", optional=True),
    Variable("hessian_converged", (), "whether those of H are", "", "bool"),
    Variable("ggn_converged", (), "whether those of G are", "", "bool"),
    Variable("hessian_products", (), "products with H for its eigenpairs", kind="int"),
    Variable("ggn_products", (), "products with G for its eigenpairs", kind="int"),
)

SCHEMA = Schema(
    version=2,
    coords=(
        Variable("eigenpair", ("eigenpair",), "rank by falling |λ|", "", kind="int"),
        Variable("layer", ("layer",), "layer, in the model's order", "", kind="str"),
        Variable("alpha", ("alpha",), "α of the effective dimension", LOSS_UNIT),
    ),
    variables=(
        *_EIGENPAIRS,
        *(variable for part in _PARTS.items() for variable in _totals(*part)),
        *_OUTLIERS,
        *_DIMENSION,
        *_VERDICTS,
    ),
)
