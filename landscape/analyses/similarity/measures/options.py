"""The options of ``similarity``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from landscape.analyses._shared.options import PrefixTokens
from landscape.analyses.similarity._options import Layers, MostLayers, Pairing, Spatial, Tokens
from landscape.base.analysis import NEW_OPTION, Params

__all__ = ["SimilarityParams"]


class SimilarityParams(Params):
    """Options of ``similarity``."""

    layers: Layers = ()
    most_layers: MostLayers = 8
    sample: int = Field(256, ge=8, le=2048, description="largest number of examples, shared by all")
    neighbours: int = Field(10, ge=1, description="nearest neighbours of each example (at most a half)")
    variance: float = Field(0.99, gt=0.0, le=1.0, description="share of variance that SVCCA and PWCCA keep")
    tokens: Tokens = "flatten"
    spatial: Spatial = "flatten"
    prefix_tokens: PrefixTokens = None
    pairing: Pairing = "inputs"
    subsamples: Annotated[int, NEW_OPTION] = Field(
        10,
        ge=0,
        le=10_000,
        description="subsamples of the examples, without repeats, from which errors between layers are found;"
        " 0 or 1 = no errors",
    )
    seed: int = Field(0, ge=0, description="seed of the sample")
