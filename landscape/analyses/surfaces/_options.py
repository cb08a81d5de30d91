"""Options that lines and surfaces take."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from landscape.batchnorm_policy import SurfacePolicy, normalise

__all__ = ["DirectionSeed", "PointStatistics"]

PointStatistics = Annotated[
    SurfacePolicy | None,
    BeforeValidator(normalise),  # words of former versions
    Field(
        description="BatchNorm statistics at each point: the checkpoint's, the batch's, or pooled anew over"
        " the data (recalibrate); none = checkpoint near one model, recalibrate between models"
    ),
]

DirectionSeed = Annotated[int, Field(ge=0, description="seed of the directions")]
