"""The options of ``block_spectra``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from landscape.base.analysis import Params

__all__ = ["BlockSpectraParams"]


class BlockSpectraParams(Params):
    """Options of ``block_spectra``."""

    operator: Literal["hessian", "ggn"] = Field(
        "hessian", description="Hessian, or generalised Gauss-Newton matrix"
    )
    by: Literal["module", "parameter", "projection", "head"] = Field(
        "module",
        description="what a block is: the parameters of one module; each parameter tensor; each tensor, those"
        " of attention cut into query, key and value; the same by head",
    )
    blocks: Annotated[tuple[str, ...], Field(description="globs over names of blocks")] = ("*",)
    outliers: int = Field(3, ge=0, description="most eigenvalues of each block that are taken out")
    probes: int = Field(4, ge=2, description="random probes per block")
    steps: int = Field(20, ge=1, description="Lanczos steps (products) per probe")
    tol: float = Field(
        1e-2, gt=0, description="residual allowed for an outlier, relative to the block's largest |λ|"
    )
    seed: int = Field(0, ge=0, description="seed of probes and starting vectors")
