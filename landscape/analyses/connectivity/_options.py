"""Options that several analyses of connectivity take."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from landscape.base.analysis import DATA_BUILDER
from landscape.batchnorm_policy import BatchNormPolicy, normalise
from landscape.imports import REFERENCE

__all__ = ["BetweenModels", "HeldOutArguments", "HeldOutBuilder", "Resamples", "Rounds"]

BetweenModels = Annotated[
    BatchNormPolicy | None,
    BeforeValidator(normalise),  # words of former versions
    Field(
        description="BatchNorm statistics between the models: the nearer checkpoint's, the batch's, pooled"
        " anew over the data (recalibrate), interpolated, or recalibrated with all layers' outputs rescaled"
        " (repair); none = recalibrate"
    ),
]

Rounds = Annotated[int, Field(ge=0, le=30, description="rounds of two more points beside the largest gap")]

HeldOutBuilder = Annotated[
    str | None,
    Field(pattern=REFERENCE, description="builder of held-out data, package.module:function"),
    DATA_BUILDER,
]

HeldOutArguments = Annotated[dict[str, Any], Field(description="its arguments")]

Resamples = Annotated[int, Field(ge=100, description="bootstrap resamples of the examples")]
