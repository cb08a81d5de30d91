"""What a ``connect`` result holds."""

from __future__ import annotations

from landscape.analyses._shared.captions import LOSS_UNIT
from landscape.analyses.connectivity._profiles import barrier_variables
from landscape.base.schema import Schema, Variable

__all__ = ["SCHEMA"]

_POINTS = ("path", "split", "point")

SCHEMA = Schema(
    version=3,
    coords=(
        Variable("path", ("path",), "path between the models", "", "str"),
        Variable("split", ("split",), "data it was measured on", "", "str"),
        Variable("quantity", ("quantity",), "what the barrier is of", "", "str"),
        Variable("quantity_unit", ("quantity",), "unit of the quantity and its barriers", "", "str"),
        Variable("end", ("end",), "model at an end of the path", "", "str"),
    ),
    variables=(
        Variable("t", ("path", "point"), "place on the path, 0 at a and 1 at b"),
        Variable("arc", ("path", "point"), "arc length from a"),
        Variable("loss", _POINTS, "loss, weight-decay term included", LOSS_UNIT),
        Variable("loss_se", _POINTS, "standard error of the data loss over examples", LOSS_UNIT),
        Variable("loss_gap_se", _POINTS, "standard error of the gap to the chord, paired", LOSS_UNIT),
        Variable("data_loss", _POINTS, "loss without the weight-decay term", LOSS_UNIT),
        Variable("penalty", ("path", "point"), "weight-decay term", LOSS_UNIT),
        Variable("error", _POINTS, "share of wrong answers", "%"),
        Variable("error_se", _POINTS, "standard error of the error over examples", "%"),
        Variable("error_gap_se", _POINTS, "standard error of the gap to the chord, paired", "%"),
        *barrier_variables(("path", "split")),
        Variable("arc_length", ("path",), "arc length of the path"),
        Variable("arc_ratio", ("path",), "arc length over the distance of its ends"),
        Variable("chord", ("path",), "distance of its ends in parameter space"),
        Variable("end_loss", ("split", "end"), "loss of the models as they are", LOSS_UNIT),
        Variable("end_error", ("split", "end"), "error of the models as they are", "%"),
        Variable("examples", ("split",), "number of examples", "1", "int"),
        Variable("batchnorm_policy", (), "BatchNorm statistics along the path", "", "str"),
        Variable("output_error", (), "largest relative change of b's outputs by alignment", optional=True),
        Variable(
            "training_loss", ("epoch",), "mean loss along the curve in training", LOSS_UNIT, optional=True
        ),
        Variable("points", ("control", "parameter"), "control points of the curve", optional=True),
        Variable("plane_x", ("plane_x",), "distance from a towards b", optional=True),
        Variable("plane_y", ("plane_y",), "distance from the chord towards the bend", optional=True),
        Variable("plane_loss", ("plane_y", "plane_x"), "loss over the plane", LOSS_UNIT, optional=True),
        Variable("curve_x", ("along",), "the curve's place along plane_x", optional=True),
        Variable("curve_y", ("along",), "the curve's place along plane_y", optional=True),
        Variable("curve_distance", (), "largest distance of the curve from the plane", optional=True),
        Variable("bend_x", ("bend",), "place of its inner control points along plane_x", optional=True),
        Variable("bend_y", ("bend",), "place of its inner control points along plane_y", optional=True),
    ),
)
