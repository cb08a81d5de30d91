"""Options that the analyses of similarity take, and the coordinates of what they give."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from landscape.base.analysis import NEW_OPTION
from landscape.base.schema import Variable

__all__ = ["COORDS", "LEFT_OUT", "Layers", "MostLayers", "Pairing", "Spatial", "Tokens"]

Layers = Annotated[
    tuple[str, ...],
    Field(
        description="globs over module names, outputs without one row per example being left out; none = the"
        " outputs of blocks, or every module of a model that has none"
    ),
]

MostLayers = Annotated[
    int,
    Field(
        ge=1,
        description="layers per model; of more, evenly spaced ones in firing order are taken, with both ends",
    ),
]

Tokens = Annotated[
    Literal["flatten", "cls", "patch_mean"],
    Field(description="of token sequences: all entries, the first token, or the mean over the grid"),
]

Spatial = Annotated[
    Literal["flatten", "pooled"], Field(description="of feature maps: all entries, or the mean over space")
]

Pairing = Annotated[
    Literal["inputs", "order"],
    Field(
        description="inputs: all models see the same; order: examples of one number are the same, though"
        " models take them in other forms, such as images of other sizes"
    ),
    NEW_OPTION,
]

COORDS = (
    Variable("unit_a", ("unit_a",), "model and layer: first of the pair", "", kind="str"),
    Variable("unit_b", ("unit_b",), "model and layer: second of the pair", "", kind="str"),
    Variable("model_a", ("unit_a",), "model of unit_a", "", kind="str"),
    Variable("model_b", ("unit_b",), "model of unit_b", "", kind="str"),
    Variable("layer_a", ("unit_a",), "layer of unit_a, in firing order", "", kind="str"),
    Variable("layer_b", ("unit_b",), "layer of unit_b, in firing order", "", kind="str"),
    Variable("model", ("model",), "first model of the pair", "", kind="str"),
    Variable("other", ("other",), "second model of the pair", "", kind="str"),
)
"""Pairs of layers (unit_a, unit_b) and pairs of models (model, other)."""

LEFT_OUT = Variable("notice", (), "outputs left out, which cannot be compared", "", kind="str", optional=True)
