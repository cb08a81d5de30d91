"""What ``connect`` computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from landscape.analyses._shared.captions import LOSS_UNIT
from landscape.analyses.connectivity._profiles import (
    QUANTITIES,
    Aligner,
    Measured,
    Meter,
    barrier_values,
    held_out,
    profile,
)
from landscape.analyses.connectivity.connect.options import ConnectParams, epoch_passes
from landscape.base.analysis import Context, Pair
from landscape.errors import InputError

if TYPE_CHECKING:
    from landscape.base.ledger import Ledger
    from landscape.core.connectivity.curve import Curve
    from landscape.core.problem.problem import Problem

__all__ = ["compute"]

Array = NDArray[np.float64]

ALONG = 101
"""Points of a curve drawn on its plane."""


def compute(pair: Pair, params: ConnectParams, context: Context) -> Mapping[str, Any]:
    """The straight line, the line after alignment, and the trained curve, on the same examples."""
    import torch

    from landscape.core.connectivity.curve import straight
    from landscape.core.connectivity.end_states import curve_evaluator
    from landscape.core.problem.batchnorm import policy_in_force
    from landscape.core.problem.states import as_vector, rest_of_state

    problem, a, b = pair.problem, pair.a, pair.b
    policy = policy_in_force(problem, params.batchnorm)
    test = held_out(problem, params.test, params.test_kwargs, context)
    ledger = context.ledger
    meter = Meter(context.progress, _passes(params, 1 if test is None else 2))
    start = as_vector(problem, a, "model a")
    ends = {"line": b}
    data: dict[str, Any] = {}
    if params.align is not None:
        ends["line, aligned"], data["output_error"] = Aligner(problem, params.align, params.seed)(a, b)
    paths = {name: (straight(start, as_vector(problem, end, "model b")), end) for name, end in ends.items()}
    if params.method != "linear":
        last = ends[list(ends)[-1]]
        _check_trainable(problem, a, last)
        with rest_of_state(problem, a):  # what of the models is not θ: the problem's own may differ
            curve, losses = _trained(problem, paths[list(ends)[-1]][0], params, context, ledger, meter)
            data |= {"training_loss": losses, **_plane(problem, curve, policy, params, ledger, meter)}
        paths[params.method] = curve, last
        if params.keep_points:
            data["points"] = curve.points.cpu().numpy()
    measured = {}
    for name, (path, end) in paths.items():
        run = curve_evaluator(problem, path, a, end, policy=policy, test=test)
        measured[name] = profile(name, path, run, params.steps, params.refine, ledger, meter)
    splits = ["train"] if test is None else ["train", "test"]
    eps = torch.finfo(problem.dtype).eps
    found = [
        barrier_values(m, len(splits), resamples=params.resamples, seed=params.seed, eps=eps)
        for m in measured.values()
    ]
    # The models as they are, whatever the policy makes of their statistics on the paths.
    kept = curve_evaluator(problem, paths["line"][0], a, b, policy="checkpoint", test=test)
    return data | {
        "path": np.array(list(paths)),
        "split": np.array(splits),
        "quantity": np.array(QUANTITIES),
        "quantity_unit": np.array([LOSS_UNIT, LOSS_UNIT, "%"]),
        "end": np.array(["a", "b"]),
        **_curves(list(measured.values()), len(splits)),
        **{name: np.stack([f[name] for f in found]) for name in found[0]},
        "arc_length": np.array([path.length for path, _ in paths.values()]),
        "arc_ratio": np.array([path.ratio for path, _ in paths.values()]),
        "chord": np.array([path.chord for path, _ in paths.values()]),
        **_ends(kept),
        "examples": np.array([problem.examples, *([] if test is None else [sum(b.size for b in test)])]),
        "batchnorm_policy": policy,
    }


def _curves(measured: Sequence[Measured], splits: int) -> dict[str, Array]:
    """Values and standard errors along every path."""
    data: dict[str, Array] = {
        "t": np.stack([m.t for m in measured]),
        "arc": np.stack([m.arc for m in measured]),
        "penalty": np.stack([m.values["penalty"][0] for m in measured]),
    }
    for name in QUANTITIES:
        curves = [[m.profile(name, s) for s in range(splits)] for m in measured]
        data[name] = np.array([[c.values for c in row] for row in curves])
        if name != "data_loss":
            data[f"{name}_se"] = np.array([[c.standard_errors for c in row] for row in curves])
            data[f"{name}_gap_se"] = np.array([[c.gap_errors for c in row] for row in curves])
    return data


def _ends(kept: Any) -> dict[str, Array]:
    """Loss and error of the models themselves, with their own statistics."""
    ends = [kept.measure(t) for t in (0.0, 1.0)]
    return {
        "end_loss": np.array([[m.loss for m in end] for end in ends]).T,
        "end_error": np.array([[100.0 * (1.0 - m.accuracy) for m in end] for end in ends]).T,
    }


def _check_trainable(problem: Problem, a: Any, b: Any) -> None:
    from landscape.core.problem.states import differing_rest

    name = differing_rest(problem, a, b)
    if name is not None:
        raise InputError(
            f"models a and b differ in '{name}', which is not among the problem's parameters, so no curve"
            " between them can be trained; choose it too (parameters=), or take method='linear'."
        )


def _trained(
    problem: Problem, line: Curve, params: ConnectParams, context: Context, ledger: Ledger, meter: Meter
) -> tuple[Curve, Array]:
    """The trained curve and its losses by epoch; the state of every epoch is kept beside the pieces."""
    from landscape.analyses.connectivity.connect.resume import CurveFile
    from landscape.core.connectivity.curve import Curve, bent
    from landscape.core.connectivity.curve_training import CurveTraining, TrainingState, train_bends
    from landscape.core.connectivity.elastic_band import BandTraining, relax_band

    file, before = CurveFile(ledger, problem.theta), meter.done
    decay = problem.weight_decay if params.weight_decay is None else params.weight_decay
    common: dict[str, Any] = {"weight_decay": decay}
    common |= {n: getattr(params, n) for n in ("epochs", "lr", "momentum", "batch_size", "seed")}
    bends = params.bends or (3 if params.method == "neb" else 1)
    start = bent(
        line.points[0], line.points[-1], bends, "bezier" if params.method == "bezier" else "polychain"
    )

    def on_epoch(state: TrainingState) -> None:
        file.write(state)
        meter.reach(before + len(state.losses) * epoch_passes(params))

    def compute(index: int) -> dict[str, Array]:
        state = file.read() or TrainingState.start(start)
        if params.method == "neb":
            settings = BandTraining(**common, cycles=params.cycles, spring=params.spring)
            path = relax_band(problem, start, settings, state=state, on_epoch=on_epoch)
        else:
            path = train_bends(problem, start, CurveTraining(**common), state=state, on_epoch=on_epoch)
        points = path.points.cpu().numpy()
        return {"points": points, "knots": np.array(path.knots), "losses": np.array(state.losses)}

    (piece,) = ledger.collect(["curve"], compute)
    file.remove()
    meter.reach(before + params.epochs * epoch_passes(params))
    points = problem.theta.new_tensor(piece["points"])
    return Curve(start.kind, points, tuple(piece["knots"].tolist())), piece["losses"]


def _plane(
    problem: Problem, curve: Curve, policy: str, params: ConnectParams, ledger: Ledger, meter: Meter
) -> dict[str, Any]:
    """The loss over the plane through the ends and the bend farthest from the chord, the curve on it."""
    from landscape.analyses._shared.sweep import Sweep
    from landscape.core.problem.batchnorm import policy_in_force
    from landscape.core.problem.evaluator import Evaluator
    from landscape.core.surfaces.plane import model_plane

    # A curve that has stayed on its chord spans no plane.
    if not params.plane or not curve.ratio > 1.0 + 1e-9:
        return {}
    ends_and_bend = [curve.points[0], curve.points[-1], curve.points[curve.farthest]]
    plane = model_plane(problem, ends_and_bend)
    places, outside = plane.projections(curve.points)
    shares = np.stack([curve.weights(float(t)) for t in np.linspace(0, 1, ALONG)])
    line = shares @ places
    # a plane has no two ends whose statistics or outputs could be interpolated
    asked: Any = {"repair": "recalibrate", "interpolate": "checkpoint"}.get(policy, policy)
    mode = policy_in_force(problem, asked)
    corners = np.concatenate([line, places])
    x, y = (_around(corners[:, axis], params.plane) for axis in (0, 1))
    evaluator = Evaluator(problem, plane, statistics=mode)
    sweep = Sweep(evaluator, ledger, lambda fraction: None, params.plane**2)
    fields = sweep.grid(x, y)
    meter.advance(params.plane**2)
    # inner control points may leave the plane by as much as the curve itself, or more
    away = np.sqrt(((shares @ outside) * shares).sum(1).clip(min=0.0).max())
    return {
        "plane_x": x,
        "plane_y": y,
        "plane_loss": fields["loss"],
        "curve_x": line[:, 0],
        "curve_y": line[:, 1],
        "curve_distance": away,
        "bend_x": places[1:-1, 0],
        "bend_y": places[1:-1, 1],
    }


def _around(places: Array, count: int) -> Array:
    low, high = places.min(), places.max()
    room = 0.2 * (high - low)
    return np.linspace(low - room, high + room, count)


def _passes(params: ConnectParams, splits: int) -> float:
    """Passes over the data, for progress."""
    paths = 1 + (params.align is not None) + (params.method != "linear")
    curve = params.epochs * epoch_passes(params) + params.plane**2 if params.method != "linear" else 0.0
    return paths * (params.steps + 2 * params.refine) * splits + curve
