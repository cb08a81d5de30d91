"""Options of ``distance_awareness``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from landscape.base.analysis import DATA_BUILDER, Params
from landscape.imports import REFERENCE

__all__ = ["DistanceAwarenessParams"]


class DistanceAwarenessParams(Params):
    """Options of ``distance_awareness``."""

    layer: str = Field(
        "", description="layer whose outputs are the features; none = what the last layer with weights reads"
    )
    pairs: int = Field(
        1000, ge=2, description="number of pairs of each kind; one perturbation of each example at most"
    )
    radii: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (0.01, 0.1, 1.0),
        description="lengths of random perturbations, relative to the median distance of two examples",
    )
    points: int = Field(16, ge=0, description="number of examples with singular values of the Jacobian")
    products: int = Field(200, ge=4, description="most products for these; as many as features are exact")
    other_data: Annotated[tuple[Annotated[str, Field(pattern=REFERENCE)], ...], DATA_BUILDER] = Field(
        (),
        description="package.module:function that returns other data, or several: their distance to the"
        " examples, and the doubt there; none = no such numbers, unless given as the input other",
    )
    seed: int = Field(0, ge=0, description="seed of pairs, perturbations and draws")
