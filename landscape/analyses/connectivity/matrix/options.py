"""The options of ``connectivity``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from landscape.analyses.connectivity._options import (
    BetweenModels,
    HeldOutArguments,
    HeldOutBuilder,
    Resamples,
    Rounds,
)
from landscape.base.analysis import Params

__all__ = ["ConnectivityParams"]


class ConnectivityParams(Params):
    """Options of ``connectivity``."""

    align: Literal["weights", "activations"] | None = Field(
        "weights",
        description="how the second model of a pair is put in the order of the first; both are shown",
    )
    steps: int = Field(11, ge=3, le=1_000_000, description="evenly spaced points on each line")
    refine: Rounds = 2
    batchnorm: BetweenModels = None
    test: HeldOutBuilder = None
    test_kwargs: HeldOutArguments = Field({})
    resamples: Resamples = 1000
    level: float = Field(
        0.05, gt=0, lt=1, description="level of the test of no barrier, over all pairs (Holm)"
    )
    seed: int = Field(0, ge=0, description="seed of alignment and resampling")
