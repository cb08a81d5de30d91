"""Options that several analyses of connectivity take."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

__all__ = ["HeldOutArguments", "HeldOutBuilder", "Resamples", "Rounds"]

Rounds = Annotated[int, Field(ge=0, le=30, description="rounds of two more points beside the largest gap")]

HeldOutBuilder = Annotated[
    str | None,
    Field(pattern=r"^[\w.]+:[\w.]+$", description="builder of held-out data, package.module:function"),
]

HeldOutArguments = Annotated[dict[str, Any], Field(description="its arguments")]

Resamples = Annotated[int, Field(ge=100, description="bootstrap resamples of the examples")]
