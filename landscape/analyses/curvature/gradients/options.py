"""The options of ``gradients``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from landscape.analyses._shared.tails import Resamples
from landscape.analyses.curvature._options import Tolerance
from landscape.base.analysis import Params

__all__ = ["GradientsParams"]


class GradientsParams(Params):
    """Options of ``gradients``."""

    k: int = Field(
        10, ge=0, description="eigenpairs of the covariance Σ and of the Hessian; 0 for moments alone"
    )
    by: Literal["module", "parameter"] = Field(
        "module", description="what a layer is: the parameters of one module, or each parameter tensor"
    )
    hessian: bool = Field(
        True, description="whether to find the Hessian's leading space, too, for its overlap with that of Σ"
    )
    tol: Tolerance = 1e-3
    max_products: int | None = Field(
        None, ge=1, description="most products for the eigenpairs of each matrix; none = 500 + 20 k"
    )
    resamples: Resamples = 200
    seed: int = Field(0, ge=0, description="seed of starting vectors and resamples")
