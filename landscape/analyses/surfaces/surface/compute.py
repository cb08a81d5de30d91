"""What ``surface`` computes: the grid, all of it or where it bends most, and its shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from landscape.analyses.surfaces._metrics import find_metrics
from landscape.analyses.surfaces.surface.options import INPUTS, SurfaceParams
from landscape.base.analysis import Context
from landscape.errors import InputError

if TYPE_CHECKING:
    from landscape.analyses._shared.sweep import Sweep
    from landscape.base.ledger import Ledger
    from landscape.core.problem.execution import BatchLayout
    from landscape.core.problem.problem import Problem
    from landscape.core.surfaces.plane import Plane

__all__ = ["compute"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

MOST_MINIMA = 50

MARGIN = 0.25
"""Room around the checkpoints shown, over their extent."""


def compute(problem: Problem, params: SurfaceParams, context: Context) -> Mapping[str, Any]:
    """Evaluate the plane's grid, all of it or where it bends most, and sum it up."""
    import torch

    from landscape.analyses._shared.sweep import Sweep
    from landscape.core.problem.batchnorm import policy_in_force
    from landscape.core.problem.evaluator import Evaluator
    from landscape.core.problem.execution import in_bfloat16, with_batch_layout
    from landscape.core.surfaces.adaptive_grid import fill

    plane = _plane(problem, params, context.inputs)
    x, y = _axis(plane, 0, params.x_range, params.steps[0]), _axis(plane, 1, params.y_range, params.steps[1])
    mode = policy_in_force(problem, params.batchnorm, between_models=bool(plane.markers))
    ledger = context.ledger
    ledger.require("directions", plane.fingerprint())
    cut = _cut(problem, params, ledger, mode)
    run = with_batch_layout(problem, cut)
    if params.precision == "bfloat16":
        run = in_bfloat16(run)
    metrics = find_metrics(params.metrics)
    evaluator = Evaluator(
        run,
        plane,
        statistics=mode,
        per_class=params.per_class,
        gradient_norm=params.gradient_norm,
        metrics=metrics,
    )
    points = x.size * y.size
    count = min(params.evaluations or points, points)
    sweep = Sweep(evaluator, ledger, context.progress, count + 2 * len(plane.markers))
    data: dict[str, Any] = {"x": x, "y": y}
    if count == points:
        fields, known = sweep.grid(x, y), np.ones((len(y), len(x)), bool)
        surface = fields["loss"]
    else:
        bend, back = (_log, np.exp) if params.refine_by == "log_loss" else (np.asarray, np.asarray)
        fields, known = sweep.refined(x, y, count, bend)
        between = back(fill(bend(fields["loss"]), known))
        surface = data["loss_filled"] = np.where(known, fields["loss"], between)
    center = evaluator.center
    # Measured in both ways at the centre: this tells how far another cut or precision moves the loss.
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
        **_numbers(surface, known, x, y, center.loss, params, eps=torch.finfo(problem.dtype).eps),
    }
    if metrics:
        found = evaluator.center_metrics
        data |= {"metric": np.array(list(metrics))}
        data |= {"center_metric": found["metric_value"], "center_metric_se": found["metric_se"]}
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
        return planes.trajectory_plane(problem, tuple(inputs["trajectory"]), centring=params.centring)
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


def _log(losses: Array) -> Array:
    """The natural logarithm of losses, of which NaN and infinity are kept.

    Raises:
        InputError: If a loss is not positive.
    """
    if (losses <= 0).any():
        raise InputError(
            f"refine_by = log_loss takes a loss that is positive everywhere; on this plane it is"
            f" {np.nanmin(losses):.4g} somewhere: use refine_by = loss."
        )
    logs: Array = np.log(losses)
    return logs


def _cut(problem: Problem, params: SurfaceParams, ledger: Ledger, mode: str) -> BatchLayout:
    """Micro-batch and layout: as given, or the fastest, probed once for all runs that share the ledger."""
    from landscape.core.problem.execution import BatchLayout, fastest_batch_layout

    if not params.tune:
        return BatchLayout()
    # statistics of batches depend on how data is cut
    return BatchLayout(
        **ledger.remember(
            "cut", lambda: asdict(fastest_batch_layout(problem, keep_batches=mode != "checkpoint"))
        )
    )


def _about(plane: Plane, params: SurfaceParams) -> dict[str, Any]:
    """What to remember of the plane."""
    from landscape.core.linalg.reductions import length

    optional = {"explained": plane.explained, "eigenvalues": plane.eigenvalues, "residuals": plane.residuals}
    if params.keep_directions:
        optional["vectors"] = plane.directions.cpu().numpy()
    return {
        "plane": plane.kind,
        "direction_norm": plane.norms,
        "direction_hash": np.array(plane.hashes()),
        "direction_angle": plane.angle(),
        "weight_norm": length(plane.origin),
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
    z: Array, known: Mask, x: Array, y: Array, center: float, params: SurfaceParams, *, eps: float
) -> dict[str, Any]:
    """The surface in numbers; those about its finest scale are NaN where points were interpolated."""
    from landscape.core.surfaces import surface_shape as shape
    from landscape.core.surfaces.merge_tree import merge_tree

    # At the finest scale an interpolated surface shows the interpolant, not the loss.
    measured = z if known.all() else np.full_like(z, np.nan)

    spacing = max(np.diff(x).max(), np.diff(y).max())
    quarter = 0.25 * min(np.abs(x).max(), np.abs(y).max())
    radius = params.radius or max(quarter, 1.5 * spacing)
    near = min(radius, 2.5 * spacing)  # two rings of points: farther out, higher orders spoil the fit
    fit = shape.quadratic_fit(z, x, y, near)
    tree = merge_tree(z)
    clear = np.isinf(tree.saddle) | (tree.persistence > shape.ROUNDING * eps * np.abs(tree.saddle))
    top = np.flatnonzero(clear)[:MOST_MINIMA]
    rows, columns = np.unravel_index(tree.minimum[top], z.shape)
    bars = tree.persistence[clear & np.isfinite(tree.saddle)]
    smad = {"smad": bars.mean()} if bars.size else {}
    return smad | {
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
        "minimum_into": _kept(tree.into, top),
    }


def _kept(into: NDArray[np.intp], top: NDArray[np.intp]) -> NDArray[np.intp]:
    """Which of the minima that are kept each of them joins: of one that is left out, what that one joins."""
    place = {int(k): i for i, k in enumerate(top)}

    def kept(k: int) -> int:
        while k >= 0 and k not in place:
            k = int(into[k])
        return place.get(k, -1)

    return np.array([kept(int(into[k])) for k in top], dtype=np.intp)


def _exact_curvature(problem: Problem, plane: Plane) -> Array:
    """dᵢᵀHdⱼ in float64 from two Hessian products."""
    import torch

    from landscape.core.curvature.operator import hessian
    from landscape.core.linalg.reductions import exact_products

    if not torch.equal(plane.origin, problem.theta):
        raise InputError(
            "hessian=True needs a plane through the checkpoint; leave it out, or the first model."
        )
    products = hessian(problem) @ plane.directions.T
    square: Array = exact_products(plane.directions, products.T).cpu().numpy()
    # H is symmetric, its products are so but for rounding.
    return (square + square.T) / 2
