"""``surface``: the loss over a plane through parameter space, with error bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from landscape.analyses._shared.captions import loss_unit
from landscape.analyses.surfaces.surface.figures import figures
from landscape.analyses.surfaces.surface.schema import SCHEMA, STEPS
from landscape.base.analysis import Analysis, Context, Cost, Metric, Params
from landscape.core.problem.batchnorm_policy import SurfacePolicy, normalise
from landscape.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from landscape.analyses._shared.sweep import Sweep
    from landscape.core.problem.execution import Cut
    from landscape.core.problem.problem import Problem
    from landscape.core.surfaces.plane import Plane
    from landscape.store.ledger import Ledger

Array = NDArray[np.float64]

INPUTS = ("vectors", "models", "trajectory")
MOST_MINIMA = 50
MARGIN = 0.25
"""Room around the checkpoints shown, over their extent."""


class SurfaceParams(Params):
    """Options of ``surface``."""

    directions: Literal[
        "filter", "layer", "parameter", "raw", "eigenvectors", "models", "trajectory", "given"
    ] = Field(
        "filter",
        description="random, normalised by filter, layer or parameter, or raw; Hessian eigenvectors;"
        " or those of the input `models`, `trajectory` or `vectors` (given)",
    )
    ignore: tuple[Literal["bias", "norm"], ...] = Field(
        ("bias", "norm"), description="parameters that do not move along random directions"
    )
    which: Literal["LA", "SA", "LM", "BE"] = Field(
        "LA",
        description="which eigenvectors: LA top two, SA lowest two, LM largest in size, BE one of each end",
    )
    steps: tuple[int, int] = Field((51, 51), description="number of points along x and y")
    x_range: tuple[float, float] | None = Field(
        None, description="lowest and highest step along x; none = -1 to 1, or around the checkpoints shown"
    )
    y_range: tuple[float, float] | None = Field(None, description="likewise along y")
    evaluations: int | None = Field(
        None, ge=25, description="most points to evaluate, where the surface bends most; none = all points"
    )
    refine_by: Literal["loss", "log_loss"] = Field(
        "loss",
        description="what is to be resolved if not all points are evaluated; log_loss suits pictures whose"
        " colours span decades",
    )
    batchnorm: SurfacePolicy | None = Field(
        None,
        description="BatchNorm statistics at each point: the checkpoint's, the batch's, or pooled anew over"
        " the data (recalibrate); none = checkpoint near one model, recalibrate between models",
    )
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
    seed: int = Field(0, ge=0, description="seed of the directions")

    _batchnorm = field_validator("batchnorm", mode="before")(normalise)  # words of former versions

    @model_validator(mode="after")
    def _sound(self) -> SurfaceParams:
        for name, limits in (("x_range", self.x_range), ("y_range", self.y_range)):
            if limits is not None and not limits[0] < limits[1]:
                raise ValueError(f"{name} must rise, unlike {limits}")
        if min(self.steps) < 2:
            raise ValueError(f"steps must be at least 2 along x and along y, unlike {self.steps}")
        return self


def compute(problem: Problem, params: SurfaceParams, context: Context) -> Mapping[str, Any]:
    """Evaluate the plane's grid, all of it or where it bends most, and sum it up."""
    import torch

    from landscape.analyses._shared.sweep import Sweep
    from landscape.core.problem.batchnorm import policy_in_force
    from landscape.core.problem.evaluator import Evaluator
    from landscape.core.problem.execution import in_bfloat16, recut
    from landscape.core.surfaces.adaptive_grid import fill
    from landscape.store.ledger import Ledger

    plane = _plane(problem, params, context.inputs)
    x, y = _axis(plane, 0, params.x_range, params.steps[0]), _axis(plane, 1, params.y_range, params.steps[1])
    mode = policy_in_force(problem, params.batchnorm, between_models=bool(plane.markers))
    ledger = Ledger(context.partial, _identity(problem, plane, params))
    cut = _cut(problem, params, ledger, mode)
    run = recut(problem, cut)
    if params.precision == "bfloat16":
        run = in_bfloat16(run)
    evaluator = Evaluator(
        run, plane, statistics=mode, per_class=params.per_class, gradient_norm=params.gradient_norm
    )
    count = min(params.evaluations or x.size * y.size, x.size * y.size)
    sweep = Sweep(evaluator, ledger, context.progress, count + 2 * len(plane.markers))
    data: dict[str, Any] = {"x": x, "y": y}
    if params.evaluations is None:
        fields, known = sweep.grid(x, y), np.ones((len(y), len(x)), bool)
        surface = fields["loss"]
    else:
        bend, back = (_log, np.exp) if params.refine_by == "log_loss" else (np.asarray, np.asarray)
        fields, known = sweep.refined(x, y, params.evaluations, bend)
        between = back(fill(bend(fields["loss"]), known))
        surface = data["loss_filled"] = np.where(known, fields["loss"], between)
    center = evaluator.center
    plain = center.loss
    if run is not problem:
        plain = Evaluator(problem, plane, statistics=mode).center.loss
    data |= fields | {
        "evaluated": known,
        "evaluations": int(known.sum()),
        "examples": problem.examples,
        "center_loss": center.loss,
        "center_accuracy": center.accuracy,
        "center_error": center.loss - plain,
        "problem_loss": problem.loss(),
        "batchnorm_mode": mode,
        **asdict(cut),
        **_about(plane, params),
        **_markers(sweep, plane),
        **_numbers(surface, x, y, center.loss, params, eps=torch.finfo(problem.dtype).eps),
    }
    if evaluator.classes is not None:
        data["class"] = evaluator.classes
    if params.hessian:
        data["curvature_exact"] = _exact_curvature(problem, plane)
    return data


def _plane(problem: Problem, params: SurfaceParams, inputs: Mapping[str, Any]) -> Plane:
    """The plane that the options and inputs ask for."""
    from landscape.core.surfaces import plane as planes

    given = [name for name in INPUTS if inputs.get(name) is not None]
    needs = {"models": "models", "trajectory": "trajectory", "given": "vectors"}.get(params.directions)
    if given and params.directions == "filter":  # the default: the input says what is meant
        needs = given[0]
    if len(given) > 1 or (given and given != [needs]) or (needs and not given):
        raise InputError(
            f"directions='{params.directions}' takes {f'the input {needs}' if needs else 'no input'};"
            f" got {', '.join(given) or 'none'}."
        )
    if needs == "models":
        others = tuple(inputs["models"])
        if len(others) not in (2, 3):
            raise InputError(f"models takes two models beside the checkpoint, or three; got {len(others)}.")
        return planes.model_plane(problem, others if len(others) == 3 else (problem.theta, *others))
    if needs == "trajectory":
        return planes.trajectory_plane(problem, tuple(inputs["trajectory"]))
    if needs == "vectors":
        return planes.given_plane(problem, tuple(inputs["vectors"]))
    if params.directions == "eigenvectors":
        return planes.eigenvector_plane(problem, params.which, seed=params.seed)
    kind: Any = "none" if params.directions == "raw" else params.directions
    return planes.random_plane(problem, kind, seed=params.seed, ignore=params.ignore)


def _axis(plane: Plane, axis: int, limits: tuple[float, float] | None, count: int) -> Array:
    """Even steps, one of which is exactly 0 if one is 0 but for rounding."""
    if limits is None:
        shown = [0.0, *(m.coordinates[axis] for m in plane.markers)]
        room = MARGIN * (max(shown) - min(shown))
        limits = (min(shown) - room, max(shown) + room) if room > 0 else (-1.0, 1.0)
    steps = np.linspace(*limits, count)
    steps[np.abs(steps) < 1e-12 * (limits[1] - limits[0])] = 0.0
    return steps


def _log(values: Array) -> Array:
    """The natural logarithm; not finite where there is none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs: Array = np.log(values)
    return logs


def _identity(problem: Problem, plane: Plane, params: SurfaceParams) -> dict[str, Any]:
    """What decides the numbers of a sweep, for its partial results."""
    facts = {n: v for n, v in problem.provenance().items() if n != "threads"}
    return facts | {"directions": plane.fingerprint(), "options": params.model_dump_json()}


def _cut(problem: Problem, params: SurfaceParams, ledger: Ledger, mode: str) -> Cut:
    """Micro-batch and layout: as given, or the fastest, probed once for all runs that share the ledger."""
    from landscape.core.problem.execution import Cut, probe

    if not params.tune:
        return Cut()
    # statistics of batches depend on how data is cut
    return Cut(**ledger.remember("cut", lambda: asdict(probe(problem, keep_batches=mode != "checkpoint"))))


def _about(plane: Plane, params: SurfaceParams) -> dict[str, Any]:
    """What to remember of the plane."""
    optional = {"explained": plane.explained, "eigenvalues": plane.eigenvalues, "residuals": plane.residuals}
    if params.keep_directions:
        optional["vectors"] = plane.directions.cpu().numpy()
    return {
        "plane": plane.kind,
        "direction_norm": plane.norms,
        "direction_hash": np.array(plane.hashes()),
        "direction_angle": plane.angle(),
        "weight_norm": float(plane.origin.double().norm()),
        **{name: value for name, value in optional.items() if value is not None},
    }


def _markers(sweep: Sweep, plane: Plane) -> dict[str, Any]:
    """Checkpoints beside the plane: where they project, how far off, and their true loss."""
    if not plane.markers:
        return {}
    true = sweep.checkpoints(plane.markers)
    places = np.array([m.coordinates for m in plane.markers])
    (projected,) = sweep.pieces("projection", [[m.coordinates for m in plane.markers]])
    return {
        "marker_x": places[:, 0],
        "marker_y": places[:, 1],
        "marker_distance": np.array([m.distance for m in plane.markers]),
        "marker_loss": true["loss"],
        "marker_loss_se": true["loss_se"],
        "marker_accuracy": true["accuracy"],
        "marker_plane_loss": projected["loss"],
    }


def _numbers(
    z: Array, x: Array, y: Array, center: float, params: SurfaceParams, *, eps: float
) -> dict[str, Any]:
    """The surface in numbers; those about its finest scale are NaN where points were interpolated."""
    from landscape.core.surfaces import surface_shape as shape
    from landscape.core.surfaces.merge_tree import merge_tree

    measured = np.full_like(z, np.nan) if params.evaluations else z

    spacing = max(np.diff(x).max(), np.diff(y).max())
    quarter = 0.25 * min(np.abs(x).max(), np.abs(y).max())
    radius = params.radius or max(quarter, 1.5 * spacing)
    near = min(radius, 2.5 * spacing)  # two rings of points: farther out, higher orders spoil the fit
    fit = shape.quadratic_fit(z, x, y, near)
    tree = merge_tree(z)
    clear = np.isinf(tree.saddle) | (tree.persistence > shape.ROUNDING * eps * np.abs(tree.saddle))
    top = np.flatnonzero(clear)[:MOST_MINIMA]
    rows, columns = np.unravel_index(tree.minimum[top], z.shape)
    return {
        "radius": radius,
        "sharpness": shape.largest_rise(z, x, y, center, radius),
        "threshold": params.threshold,
        "flatness_radius": shape.flatness_radius(z, x, y, center, params.threshold),
        "curvature": fit.hessian,
        "curvature_r2": fit.r2,
        "curvature_radius": near,
        "nonconvex_share": shape.nonconvex_share(measured, x, y, eps),
        "roughness": shape.roughness(measured),
        "minima": int(clear.sum()),
        "minimum_x": x[columns],
        "minimum_y": y[rows],
        "minimum_loss": tree.birth[top],
        "minimum_saddle": tree.saddle[top],
        "minimum_into": tree.into[top],
    }


def _exact_curvature(problem: Problem, plane: Plane) -> Array:
    """dᵢᵀHdⱼ in float64 from two Hessian products."""
    import torch

    from landscape.core.curvature.operator import hessian

    if not torch.equal(plane.origin, problem.theta):
        raise InputError(
            "hessian=True needs a plane through the checkpoint; leave it out, or the first model."
        )
    products = hessian(problem) @ plane.directions.T
    square: Array = (plane.directions.double() @ products.double()).cpu().numpy()
    return (square + square.T) / 2


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """Loss at the centre and the shape of the surface."""
    unit = loss_unit({"": ds})
    curvature = (
        np.linalg.eigvalsh(ds["curvature"].values) if np.isfinite(ds["curvature"]).all() else [np.nan] * 2
    )
    radius = float(ds["radius"])
    return [
        Metric("loss", float(ds["center_loss"]), unit, "loss at the centre of the plane"),
        Metric("sharpness", float(ds["sharpness"]), unit, f"largest rise within {radius:.3g} steps"),
        Metric(
            "flat radius",
            float(ds["flatness_radius"]),
            STEPS,
            f"distance to the nearest rise by {float(ds['threshold']):.3g}",
        ),
        Metric("curvature", float(curvature[-1]), unit, "larger curvature of the quadratic fit, per step²"),
        Metric("non-convex", float(ds["nonconvex_share"]), "1", "share of points with a negative curvature"),
        Metric("roughness", float(ds["roughness"]), "1", "RMS residual of sliding parabolas over the range"),
        Metric("minima", int(ds["minima"]), "1", "minima on the grid"),
    ]


def _cost(params: SurfaceParams) -> Cost:
    points = params.steps[0] * params.steps[1]
    points = min(params.evaluations or points, points)
    passes = points * (2.0 if params.batchnorm == "recalibrate" else 1.0) + 3
    products = (100.0 if params.directions == "eigenvectors" else 0.0) + 2.0 * params.hessian
    return Cost(forwards=passes, gradients=points * float(params.gradient_norm) + 3.5 * products)


surface = Analysis(
    name="surface",
    title="Loss surface",
    description=(
        "Loss and accuracy over the plane θ + x d₁ + y d₂. Random directions are independent Gaussian draws,"
        " each scaled filter by filter to the weights (Li et al. 2018, 'Visualizing the loss landscape of"
        " neural nets', section 4); biases and norm layers do not move. Also: Hessian eigenvectors, the"
        " plane through three models (Garipov et al. 2018), the principal directions of a training run with"
        " the true loss of its checkpoints, or given vectors. Every point is computed from the centre itself"
        " and on the same examples, so that the error of a difference is small. With `evaluations`, only"
        " those points are evaluated where the surface bends most."
    ),
    scope="checkpoint",
    params=SurfaceParams,
    schema=SCHEMA,
    compute=compute,
    plots=figures,
    summary=summary,
    cost=_cost,
    inputs=INPUTS,
)
