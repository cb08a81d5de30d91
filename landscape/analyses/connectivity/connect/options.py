"""The options of ``connect``."""

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

__all__ = ["ConnectParams", "epoch_passes"]


class ConnectParams(Params):
    """Options of ``connect``."""

    method: Literal["linear", "bezier", "polychain", "neb"] = Field(
        "linear", description="the straight line alone, or a trained curve beside it"
    )
    align: Literal["weights", "activations"] | None = Field(
        None, description="whether to put b's units in the order of a's first, and by what; both are shown"
    )
    steps: int = Field(21, ge=3, le=1_000_000, description="evenly spaced points on each path")
    refine: Rounds = 3
    batchnorm: BetweenModels = None
    test: HeldOutBuilder = None
    test_kwargs: HeldOutArguments = Field({})
    resamples: Resamples = 1000
    bends: int | None = Field(
        None, ge=1, description="inner control points of the curve; none = 1, or 3 to start a band from"
    )
    epochs: int = Field(50, ge=1, description="passes over the data to train the curve")
    lr: float = Field(0.01, gt=0, description="learning rate of the curve")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of the curve's training")
    batch_size: int = Field(64, ge=2, description="examples in a step of the curve's training")
    weight_decay: float | None = Field(
        None, ge=0, description="λ in the curve's training; none = that of the problem"
    )
    cycles: int = Field(4, ge=1, description="of a band: pivots are inserted between them")
    spring: float = Field(1.0, ge=0, description="stiffness of a band's springs")
    plane: int = Field(
        0, ge=0, description="points per side of the plane through a, the bend and b; 0 = none"
    )
    keep_points: bool = Field(False, description="whether to store the curve's control points")
    seed: int = Field(0, ge=0, description="seed of alignment, training and resampling")


def epoch_passes(params: ConnectParams) -> float:
    """Passes over the data in an epoch of the curve's training, counted as in a progress bar."""
    # A step is a forward and a backward pass, which takes about twice as long.
    return 3.0 * (max(params.bends or 3, 3) if params.method == "neb" else 1)
