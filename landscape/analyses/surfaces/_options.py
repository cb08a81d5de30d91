"""Options that lines and surfaces take."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

__all__ = ["DirectionSeed", "PointStatistics"]

PointStatistics = Annotated[
    Literal["frozen", "recalibrate", "batch"] | None,
    Field(
        description="BatchNorm statistics at each point: the checkpoint's, pooled anew over the data, or the"
        " batch's; none = frozen near one model, recalibrate between models"
    ),
]

DirectionSeed = Annotated[int, Field(ge=0, description="seed of the directions")]
