"""Options that several analyses of behaviour take."""

from __future__ import annotations

from typing import Literal

__all__ = ["CorruptionName"]

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
