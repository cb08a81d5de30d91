"""Options of ``calibration``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from landscape.analyses._shared.options import BootstrapSeed
from landscape.base.analysis import DATA_BUILDER, NEW_OPTION, Params
from landscape.imports import REFERENCE

__all__ = ["CalibrationParams"]


class CalibrationParams(Params):
    """Options of ``calibration``."""

    bins: int = Field(15, ge=2, le=200, description="number of confidence bins")
    thresholds: int = Field(20, ge=2, description="number of confidence thresholds, evenly from 0")
    bootstrap: int = Field(200, ge=2, description="bootstrap resamples over examples for the intervals")
    seed: BootstrapSeed = 0
    ood_data: Annotated[str, DATA_BUILDER] = Field(
        "",
        pattern=f"^$|{REFERENCE}",
        description="package.module:function that returns data of another distribution, to be told apart;"
        " none = no such scores, unless data are given as the input ood",
    )
    fit_data: Annotated[str, DATA_BUILDER, NEW_OPTION] = Field(
        "",
        pattern=f"^$|{REFERENCE}",
        description="package.module:function that returns held-out data on which a temperature is fitted, so"
        " that scores with it are no flattery; none = no such scores, unless data are given as the input fit",
    )
