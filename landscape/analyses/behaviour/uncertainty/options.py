"""Options of ``uncertainty``."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

from pydantic import Field, field_validator

from landscape.analyses._shared.options import PixelMean, PixelStd
from landscape.analyses.behaviour._options import CorruptionName
from landscape.base.analysis import DATA_BUILDER, Params
from landscape.imports import REFERENCE

__all__ = ["UncertaintyParams"]


class UncertaintyParams(Params):
    """Options of ``uncertainty``."""

    shifts: tuple[CorruptionName, ...] = Field(
        ("rotation", "translation", "gaussian_noise", "gaussian_blur", "impulse_noise"),
        min_length=1,
        description="kinds of change that grow",
    )
    intensities: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (),
        description="amounts of change in the unit of each kind, rising; none = severities 1 to 5 of"
        " corruptions. The unchanged images always come first",
    )
    clip: bool = Field(
        True, description="cut changed pixels to 0 to 1; off, noise on black pixels stays noise"
    )
    samples: int = Field(0, ge=0, description="draws of a predictive; 0 = its own number")
    bins: int = Field(15, ge=2, le=200, description="number of confidence bins")
    coverage: int = Field(20, ge=2, description="number of shares of examples answered, evenly up to 1")
    bootstrap: int = Field(
        200, ge=2, description="bootstrap resamples for the standard errors of calibration"
    )
    ood_data: Annotated[tuple[Annotated[str, Field(pattern=REFERENCE)], ...], DATA_BUILDER] = Field(
        (),
        description="package.module:function that returns data of another distribution, or several;"
        " none = no such scores, unless data are given as the input ood",
    )
    mean: PixelMean = ()
    std: PixelStd = ()
    seed: int = Field(0, ge=0, description="seed of changes, draws and the bootstrap")

    @field_validator("shifts")
    @classmethod
    def _different(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("a kind of change is named twice")
        return value

    @field_validator("intensities")
    @classmethod
    def _rising(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(b <= a for a, b in pairwise(value)):
            raise ValueError("amounts must rise")
        return value
