"""Options that several analyses of behaviour take."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

__all__ = ["CorruptionName", "PixelMean", "PixelStd"]

CorruptionName = Literal[
    "rotation",
    "translation",
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "gaussian_blur",
    "contrast",
    "brightness",
    "pixelate",
    "rotation_wide",
    "roll",
]
"""The keys of `landscape.core.behaviour.corruptions.CORRUPTIONS`, known without torch."""

PixelMean = Annotated[
    tuple[float, ...],
    Field(description="pixel means of the normalisation to undo; none = the data's range becomes 0 to 1"),
]

PixelStd = Annotated[
    tuple[float, ...], Field(description="pixel standard deviations of the normalisation to undo")
]
