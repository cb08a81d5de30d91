"""What a result of ``surface`` holds."""

from __future__ import annotations

from landscape.analyses._shared.captions import LOSS_UNIT
from landscape.analyses.surfaces._metrics import metric_variables
from landscape.base.schema import Schema, Variable

__all__ = ["SCHEMA", "STEPS"]

STEPS = "steps"
"""Unit of the axes: multiples of the directions."""


def _schema() -> Schema:
    grid = ("y", "x")
    metric, metrics = metric_variables(*grid)
    square = ("direction", "direction_2")

    def loss(name: str, dims: tuple[str, ...], meaning: str, *, optional: bool = False) -> Variable:
        return Variable(name, dims, meaning, LOSS_UNIT, optional=optional)

    def steps(name: str, meaning: str) -> Variable:
        return Variable(name, ("marker",), meaning, STEPS, optional=True)

    return Schema(
        version=2,
        coords=(
            Variable("x", ("x",), "step along the first direction", STEPS),
            Variable("y", ("y",), "step along the second direction", STEPS),
            Variable("class", ("class",), "class label", "", kind="int", optional=True),
            metric,
        ),
        variables=(
            loss("loss", grid, "loss, weight-decay term included"),
            loss("loss_se", grid, "standard error of the data loss over examples"),
            loss("loss_change_se", grid, "standard error of loss − loss at (0, 0), paired by example"),
            loss("data_loss", grid, "loss without the weight-decay term"),
            loss("penalty", grid, "weight-decay term"),
            Variable("accuracy", grid, "share of right answers"),
            Variable("accuracy_se", grid, "standard error of the accuracy over examples"),
            Variable("class_accuracy", (*grid, "class"), "share of right answers by class", optional=True),
            loss("gradient_norm", grid, "norm of the gradient", optional=True),
            *metrics,
            Variable("evaluated", grid, "whether evaluated; measures are NaN elsewhere", "", "bool"),
            loss("loss_filled", grid, "loss, interpolated where not evaluated", optional=True),
            Variable("evaluations", (), "number of points evaluated", kind="int"),
            Variable("examples", (), "number of examples at each point", kind="int"),
            loss("center_loss", (), "loss at (0, 0)"),
            Variable("center_accuracy", (), "accuracy at (0, 0)"),
            loss("center_error", (), "what tuning and bfloat16 change of the loss at (0, 0)"),
            loss("problem_loss", (), "loss of the checkpoint"),
            Variable("plane", (), "what the directions are", "", "str"),
            Variable("batchnorm_mode", (), "BatchNorm statistics used", "", "str"),
            Variable("micro_batch", (), "examples per forward pass, if tuned; 0 = by bytes", kind="int"),
            Variable("channels_last", (), "whether tuning stored images channels last", "", "bool"),
            Variable("direction_norm", ("direction",), "Euclidean norm of the direction"),
            Variable("direction_hash", ("direction",), "content hash of the direction", "", "str"),
            Variable("direction_angle", (), "angle between the two directions", "degree"),
            Variable("weight_norm", (), "Euclidean norm of the parameters at (0, 0)"),
            Variable("vectors", ("direction", "parameter"), "the directions", optional=True),
            Variable("explained", ("direction",), "share of the run's variance along it", optional=True),
            loss("eigenvalues", ("direction",), "Hessian eigenvalue", optional=True),
            loss("residuals", ("direction",), "residual norm of the eigenpair", optional=True),
            steps("marker_x", "step along x of a checkpoint's projection"),
            steps("marker_y", "step along y of a checkpoint's projection"),
            Variable("marker_distance", ("marker",), "distance of it from the plane", optional=True),
            loss("marker_loss", ("marker",), "true loss of a checkpoint", optional=True),
            loss("marker_loss_se", ("marker",), "its standard error", optional=True),
            Variable("marker_accuracy", ("marker",), "true accuracy of a checkpoint", optional=True),
            loss("marker_plane_loss", ("marker",), "loss at its projection", optional=True),
            Variable("radius", (), "radius of the sharpness", STEPS),
            loss("sharpness", (), "largest rise of the loss within the radius"),
            loss("threshold", (), "rise of the loss that ends the flat region"),
            Variable("flatness_radius", (), "distance to the nearest rise by the threshold", STEPS),
            loss("curvature", square, "second derivatives per step of the quadratic fit"),
            Variable("curvature_radius", (), "radius of the quadratic fit", STEPS),
            Variable("curvature_r2", (), "share of the variance that the quadratic fit explains"),
            loss("curvature_exact", square, "dᵢᵀHdⱼ, H the Hessian at the checkpoint", optional=True),
            Variable("nonconvex_share", (), "share of inner points with a negative curvature"),
            Variable("roughness", (), "RMS residual of sliding parabolas over the range of the loss"),
            Variable("minima", (), "number of minima on the grid", kind="int"),
            loss("smad", (), "mean height of the saddle above a minimum that joins another", optional=True),
            Variable("minimum_x", ("minimum",), "step of a minimum along x", STEPS),
            Variable("minimum_y", ("minimum",), "step of a minimum along y", STEPS),
            loss("minimum_loss", ("minimum",), "loss at a minimum"),
            Variable(
                "minimum_saddle",
                ("minimum",),
                "loss where it joins a deeper one; ∞ for the deepest",
                LOSS_UNIT,
                unbounded=True,
            ),
            Variable("minimum_into", ("minimum",), "the minimum it joins; -1 for none", kind="int"),
        ),
    )  # fmt: skip


SCHEMA = _schema()
