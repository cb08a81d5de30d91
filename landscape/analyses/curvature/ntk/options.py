"""The options of ``ntk``."""

from __future__ import annotations

from pydantic import Field

from landscape.analyses.curvature._options import Tolerance
from landscape.base.analysis import Params

__all__ = ["NtkParams"]


class NtkParams(Params):
    """Options of ``ntk``."""

    k: int = Field(20, ge=1, description="leading eigenpairs")
    tol: Tolerance = 1e-3
    max_products: int | None = Field(
        None, ge=1, description="most products for the eigenpairs; none = 500 + 20 k"
    )
    search: bool = Field(
        True, description="whether to search for missed copies of eigenvalues, for about 10 more products"
    )
    probes: int = Field(4, ge=2, description="random probes of the rest of the spectrum")
    steps: int = Field(20, ge=1, description="Lanczos steps (products) per probe")
    seed: int = Field(0, ge=0, description="seed of starting vectors and probes")
