"""Options that several analyses of behaviour take."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

__all__ = ["PixelMean", "PixelStd"]

PixelMean = Annotated[
    tuple[float, ...],
    Field(description="pixel means of the normalisation to undo; none = the data's range becomes 0 to 1"),
]

PixelStd = Annotated[
    tuple[float, ...], Field(description="pixel standard deviations of the normalisation to undo")
]
