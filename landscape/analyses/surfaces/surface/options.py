"""The options of ``surface``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from landscape.analyses.surfaces._metrics import OwnMetricOption
from landscape.analyses.surfaces._options import STILL, DirectionSeed, Ignored, PointStatistics
from landscape.base.analysis import NEW_OPTION, Params
from landscape.base.params import ONE_FOR_BOTH

__all__ = ["INPUTS", "SurfaceParams"]

INPUTS = ("vectors", "models", "trajectory")


MOST_POINTS = 10_000_000
"""More than any run evaluates in a year, and than memory holds."""


class SurfaceParams(Params):
    """Options of ``surface``."""

    directions: Literal[
        "filter", "layer", "parameter", "raw", "eigenvectors", "models", "trajectory", "given"
    ] = Field(
        "filter",
        description="random, normalised by filter, layer or parameter, or raw; Hessian eigenvectors;"
        " or those of the input `models`, `trajectory` or `vectors` (given); in a manifest a group's"
        " checkpoints are the `models` or the `trajectory`",
    )
    centring: Annotated[Literal["mean", "last"], NEW_OPTION] = Field(
        "mean",
        description="what the checkpoints of a trajectory are taken about: their mean, or the last (Li et al."
        " 2018, section 7)",
    )
    ignore: Ignored = STILL
    which: Literal["LA", "SA", "LM", "BE"] = Field(
        "LA",
        description="which eigenvectors: LA top two, SA lowest two, LM largest in size, BE one of each end",
    )
    steps: Annotated[tuple[int, int], ONE_FOR_BOTH] = Field(
        (51, 51), description="number of points along x and y, or one number for both"
    )
    x_range: tuple[float, float] | None = Field(
        None, description="lowest and highest step along x; none = -1 to 1, or around the checkpoints shown"
    )
    y_range: tuple[float, float] | None = Field(None, description="likewise along y")
    evaluations: int | None = Field(
        441,
        ge=25,
        description="most points to evaluate, where a spline through the others errs most; none = all points",
    )
    refine_by: Literal["loss", "log_loss"] = Field(
        "loss",
        description="what is to be resolved if not all points are evaluated; log_loss suits pictures whose"
        " colours span decades",
    )
    batchnorm: PointStatistics = None
    per_class: bool = Field(False, description="whether to measure the accuracy of each class")
    gradient_norm: bool = Field(
        False, description="whether to measure the gradient norm, at four times the cost"
    )
    hessian: bool = Field(False, description="whether to compute the exact curvature at the checkpoint too")
    keep_directions: bool = Field(False, description="whether to store the directions themselves")
    tune: bool = Field(
        False,
        description="whether to time micro-batches and memory layouts first and use the fastest; equal up to"
        " rounding",
    )
    precision: Literal["full", "bfloat16"] = Field(
        "full", description="forward passes as the model is, or in bfloat16 with the error recorded"
    )
    radius: float | None = Field(
        None,
        gt=0,
        description="steps around the centre for the sharpness; none = a quarter of the way to the edge",
    )
    threshold: float = Field(0.1, gt=0, description="rise of the loss that ends the flat region")
    seed: DirectionSeed = 0
    metrics: OwnMetricOption = ()

    @model_validator(mode="after")
    def _sound(self) -> SurfaceParams:
        for name, limits in (("x_range", self.x_range), ("y_range", self.y_range)):
            if limits is not None and not limits[0] < limits[1]:
                raise ValueError(f"{name} must rise, unlike {limits}")
        if min(self.steps) < 2:
            raise ValueError(f"steps must be at least 2 along x and along y, unlike {self.steps}")
        if self.steps[0] * self.steps[1] > MOST_POINTS:
            raise ValueError(f"steps make {self.steps[0] * self.steps[1]} points; give at most {MOST_POINTS}")
        return self
