"""Options that lines and surfaces take."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from landscape.batchnorm_policy import SurfacePolicy, normalise

__all__ = ["STILL", "DirectionSeed", "Ignored", "PointStatistics"]

STILL = ("bias", "norm", "position")
"""As `landscape.core.surfaces.directions.STILL`, which needs torch."""

Ignored = Annotated[
    tuple[str, ...],
    Field(
        description="parameters that do not move along random directions and gradients: bias, those of norm"
        " layers, position (embeddings of positions and class tokens), and globs over names"
    ),
]

PointStatistics = Annotated[
    SurfacePolicy | None,
    BeforeValidator(normalise),  # words of former versions
    Field(
        description="BatchNorm statistics at each point: the checkpoint's, the batch's, or pooled anew over"
        " the data (recalibrate); none = checkpoint near one model, recalibrate between models"
    ),
]

DirectionSeed = Annotated[int, Field(ge=0, description="seed of the directions")]
