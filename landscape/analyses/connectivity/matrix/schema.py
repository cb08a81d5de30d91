"""What a ``connectivity`` result holds."""

from __future__ import annotations

from landscape.analyses._shared.captions import LOSS_UNIT
from landscape.analyses.connectivity._profiles import barrier_variables
from landscape.base.schema import Schema, Variable

__all__ = ["PAIRS", "SCHEMA"]

PAIRS = ("alignment", "model", "other", "split")
"""Axes of what is known of each pair of models."""

SCHEMA = Schema(
    version=3,
    coords=(
        Variable("alignment", ("alignment",), "whether units were put in one order", "", "str"),
        Variable("model", ("model",), "first model of the pair", "", "str"),
        Variable("other", ("other",), "second model of the pair", "", "str"),
        Variable("split", ("split",), "data it was measured on", "", "str"),
        Variable("quantity", ("quantity",), "what the barrier is of", "", "str"),
        Variable("quantity_unit", ("quantity",), "unit of the quantity and its barriers", "", "str"),
        Variable("soup", ("soup",), "average of models", "", "str"),
    ),
    variables=(
        *barrier_variables(PAIRS),
        Variable("distance", ("alignment", "model", "other"), "distance in parameter space"),
        Variable("family", ("model",), "models of equal number can be joined", "1", "int"),
        Variable(
            "model_loss", ("split", "model"), "loss of each model, statistics as on the lines", LOSS_UNIT
        ),
        Variable("model_error", ("split", "model"), "error of each model", "%"),
        Variable("tree_a", ("alignment", "edge"), "one end of an edge of the tree over saddles", "", "str"),
        Variable("tree_b", ("alignment", "edge"), "its other end", "", "str"),
        Variable("tree_saddle", ("alignment", "edge"), "highest training loss on it", LOSS_UNIT),
        Variable("soup_members", ("soup",), "models in the average", "", "str"),
        Variable("soup_loss", ("split", "soup"), "loss of the average", LOSS_UNIT),
        Variable("soup_error", ("split", "soup"), "error of the average", "%"),
        Variable("output_error", ("model", "other"), "largest relative change of outputs by alignment"),
        Variable("examples", ("split",), "number of examples", "1", "int"),
        Variable("batchnorm_policy", (), "BatchNorm statistics between models", "", "str"),
    ),
)
