"""The options of ``merging``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from landscape.analyses.connectivity._options import HeldOutArguments, HeldOutBuilder
from landscape.base.analysis import DATA_BUILDER, Params
from landscape.imports import REFERENCE

__all__ = ["MergingParams"]


class MergingParams(Params):
    """Options of ``merging``."""

    methods: tuple[Literal["mean", "fisher", "regmean", "task_arithmetic", "ties", "slerp"], ...] = Field(
        (),
        description="how models are merged; none = all that apply: task_arithmetic and ties with a base,"
        " slerp of two models",
    )
    align: Literal["weights", "activations", "universe"] | None = Field(
        "universe",
        description="how units are put in one order for a second set of merges: each model's in that of the"
        " first, or all at once; none = as trained alone",
    )
    batchnorm: Literal["recalibrate", "average"] = Field(
        "recalibrate",
        description="BatchNorm statistics: pooled anew over the data, or the mean of the models'",
    )
    base_state: Annotated[str, DATA_BUILDER] = Field(
        "",
        pattern=f"^$|{REFERENCE}",
        description="package.module:function of the weights from which all models were trained, by name",
    )
    base_state_kwargs: dict[str, Any] = Field({}, description="its keyword arguments")
    scale: float | None = Field(
        None, description="multiple of the learnt in task_arithmetic and ties; none = 0.4 and 1"
    )
    keep: float = Field(0.2, gt=0, le=1, description="share of each task vector that ties keeps")
    shrink: float = Field(
        0.9, ge=0, le=1, description="factor of what is off the diagonal of regmean's input matrices"
    )
    slerp_angle: Literal["whole", "tensor"] = Field(
        "whole", description="between what slerp takes the angle: all weights, or each tensor's"
    )
    fisher: Literal["exact", "mc", "empirical"] = Field(
        "mc",
        description="how the Fisher matrix is found: a backward pass for each output, for drawn answers, or"
        " at the data's own",
    )
    samples: int = Field(1, ge=1, description="draws of each example, of fisher = mc")
    test: HeldOutBuilder = None
    test_kwargs: HeldOutArguments = Field({})
    seed: int = Field(0, ge=0, description="seed of alignment and draws")
