"""Options that the analyses of similarity take."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

__all__ = ["Layers", "MostLayers", "Spatial", "Tokens"]

Layers = Annotated[
    tuple[str, ...],
    Field(description="globs over module names; outputs without one row per example are passed over"),
]

MostLayers = Annotated[
    int,
    Field(
        ge=1,
        description="layers per model; of more, evenly spaced ones in firing order are taken, with both ends",
    ),
]

Tokens = Annotated[
    Literal["flatten", "cls", "patch_mean"],
    Field(description="of token sequences: all entries, the first token, or the mean over the grid"),
]

Spatial = Annotated[
    Literal["flatten", "pooled"], Field(description="of feature maps: all entries, or the mean over space")
]
