"""Options of ``regression_uncertainty``."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

from pydantic import Field, field_validator

from landscape.base.analysis import Params

__all__ = ["RegressionUncertaintyParams"]


class RegressionUncertaintyParams(Params):
    """Options of ``regression_uncertainty``."""

    levels: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        tuple(percent / 100 for percent in range(5, 100, 5)),
        min_length=1,
        description="shares that central intervals are to hold, rising",
    )
    bins: int = Field(10, ge=2, le=200, description="number of bins of predicted ranks, and of spread")
    samples: int = Field(0, ge=0, description="draws of a predictive; 0 = its own number")
    target_std: float = Field(
        1.0, gt=0, description="what targets were divided by; results are in the unit from before"
    )
    seed: int = Field(0, ge=0, description="seed of draws")

    @field_validator("levels")
    @classmethod
    def _rising(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(b <= a for a, b in pairwise(value)):
            raise ValueError("levels must rise")
        return value
