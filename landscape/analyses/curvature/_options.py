"""Options that several analyses of curvature take."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

__all__ = ["NOT_KEPT", "Operator", "Tolerance"]

NOT_KEPT = (
    "the vectors of all Lanczos steps did not fit into memory: the three-term recurrence took their place,"
    " after as many outliers as memory allowed were taken out"
)
"""Said of a quadrature; the same sentence for all models, so that a report says it once."""

Operator = Annotated[
    Literal["hessian", "ggn", "fisher", "empirical_fisher", "kfac", "ekfac"],
    Field(
        description="Hessian; generalised Gauss-Newton matrix; Fisher matrix, targets drawn from the model;"
        " second moment of the gradients at the data's targets; or a Kronecker-factored approximation of the"
        " Gauss-Newton matrix, whose error `kfac_error` gives"
    ),
]

Tolerance = Annotated[
    float,
    Field(gt=0, description="residual at which a pair counts as converged, relative to max |λ|"),
]
