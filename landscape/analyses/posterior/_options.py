"""Options that analyses of posteriors share."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

__all__ = ["NoiseVariance"]

NoiseVariance = Annotated[
    float | None,
    Field(gt=0, description="variance of Gaussian noise, for squared errors; none = mean squared residual"),
]
