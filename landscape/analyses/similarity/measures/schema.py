"""What ``similarity`` gives: its measures, and the contents of a result."""

from __future__ import annotations

from landscape.analyses.similarity._options import COORDS, LEFT_OUT
from landscape.base.schema import Schema, Variable

__all__ = ["BETWEEN", "SCHEMA"]

UNITS, MODELS = ("unit_a", "unit_b"), ("model", "other")
BETWEEN = ("procrustes", "procrustes_angle", "svcca", "pwcca", "rsa", "mutual_neighbours")
_ERROR_UNITS = {"procrustes_angle": "radians", "model_angle": "radians", "jensen_shannon": "nats/example"}


def _error(name: str, dims: tuple[str, ...]) -> Variable:
    """The error of a measure; results of before have none."""
    what = "over examples" if name in ("agreement", "jensen_shannon") else "by subsamples of the examples"
    return Variable(
        f"{name}_se", dims, f"standard error of {name}, {what}", _ERROR_UNITS.get(name, "1"), optional=True
    )


SCHEMA = Schema(
    version=2,
    coords=COORDS,
    variables=(
        Variable("procrustes", UNITS, "squared Procrustes distance at unit norm (0 to 2), not a metric"),
        Variable(
            "procrustes_angle", UNITS, "Procrustes angle, a metric (0 to π/2)", "radians", optional=True
        ),
        Variable("svcca", UNITS, "mean canonical correlation of leading components"),
        Variable("pwcca", UNITS, "canonical correlation weighted by what its directions explain of unit_a"),
        Variable("rsa", UNITS, "rank correlation of distances between examples"),
        Variable("mutual_neighbours", UNITS, "share of nearest neighbours in common"),
        Variable("agreement", MODELS, "share of examples with the same predicted class"),
        Variable("jensen_shannon", MODELS, "mean Jensen-Shannon divergence of predictions", "nats/example"),
        Variable("weight_distance", MODELS, "Euclidean distance of the weights, if of one shape"),
        Variable(
            "model_angle",
            MODELS,
            "root mean square of the Procrustes angles between layers of one name",
            "radians",
            optional=True,
        ),
        *(_error(name, UNITS) for name in BETWEEN),
        *(_error(name, MODELS) for name in ("agreement", "jensen_shannon", "model_angle")),
        Variable("interval_factor", (), "standard errors between layers in a 95 % interval", optional=True),
        Variable("neighbours", (), "nearest neighbours of each example", kind="int"),
        Variable("examples", (), "number of examples in the sample", kind="int"),
        LEFT_OUT,
    ),
)
