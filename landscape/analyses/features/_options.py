"""Options that several analyses of features take."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from landscape.core.features.unit_kinds import UnitKind

__all__ = ["UNITS", "FrequencyBins", "Images", "Layers", "MeasuredKinds", "Resamples"]

UNITS: tuple[UnitKind, ...] = (
    "convolution",
    "attention",
    "mlp",
    "norm",
    "block",
    "downsampling",
    "residual_sum",
)
"""Kinds measured unless asked otherwise: all but activations and single linear maps."""

Layers = Annotated[tuple[str, ...], Field(description="globs over module names")]

MeasuredKinds = Annotated[
    tuple[UnitKind, ...], Field(description="kinds of units to look at; none = every module")
]

FrequencyBins = Annotated[int, Field(ge=4, le=64, description="number of radial frequency bins up to 1/√2")]

Images = Annotated[
    int,
    Field(
        ge=1,
        description="at most so many images, a random sample: the errors show what more would bring",
    ),
]

Resamples = Annotated[int, Field(ge=2, description="bootstrap resamples over images")]
