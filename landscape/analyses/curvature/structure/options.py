"""The options of ``structure``."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from landscape.analyses.curvature._options import Tolerance
from landscape.base.analysis import Params

__all__ = ["ALPHAS", "StructureParams"]

Positive = Annotated[float, Field(gt=0)]

ALPHAS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0)


class StructureParams(Params):
    """Options of ``structure``."""

    moved: ClassVar[dict[str, str]] = dict.fromkeys(("radii", "ascent_steps", "eta"), "sharpness")

    k: int = Field(20, ge=1, description="eigenpairs of largest magnitude")
    tol: Tolerance = 1e-4
    max_products: int | None = Field(
        None, ge=1, description="most products for the eigenpairs of each matrix; none = 500 + 20 k"
    )
    by: Literal["module", "parameter"] = Field(
        "module", description="what a layer is: the parameters of one module, or each parameter tensor"
    )
    samples: int = Field(16, ge=4, description="random signs for traces and Frobenius norms")
    alphas: tuple[Positive, ...] = Field(
        ALPHAS, description="values of α in the effective dimension Σ λ/(λ+α)"
    )
    probes: int = Field(4, ge=1, description="random probes of the effective dimension")
    steps: int = Field(30, ge=1, description="Lanczos steps (products) per probe")
    seed: int = Field(0, ge=0, description="seed of starting vectors and probes")
