"""Options that several analyses of curvature take."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

__all__ = ["Operator", "Tolerance"]

Operator = Annotated[
    Literal["hessian", "ggn"], Field(description="Hessian or generalised Gauss-Newton matrix")
]

Tolerance = Annotated[
    float,
    Field(gt=0, description="residual at which a pair counts as converged, relative to max |λ|"),
]
