"""``stability``: sharpness along a training, against the curvature at which its steps would diverge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from landscape.analyses._shared.captions import LOSS_UNIT, loss_unit
from landscape.analyses.curvature._options import Tolerance
from landscape.base.analysis import Analysis, Context, Cost, Metric, Params
from landscape.base.figure import Axis, FigureSpec, Guide, Line, Mark, series
from landscape.base.from_zoo import FromZoo
from landscape.base.interval import Interval
from landscape.base.schema import Schema, Variable
from landscape.errors import InputError, one_line

if TYPE_CHECKING:
    import xarray as xr

    from landscape.base.ledger import Piece
    from landscape.core.curvature.optimiser_state import Optimiser
    from landscape.core.linalg.operators import SymmetricOperator
    from landscape.core.problem.problem import Problem

__all__ = ["StabilityParams", "stability"]

ADAPTIVE = ("adam", "rmsprop")


class StabilityParams(Params):
    """Options of ``stability``."""

    learning_rate: float | None = Field(
        None,
        ge=0,
        description="η of every checkpoint; none: what the checkpoint's scheduler or optimiser says",
    )
    momentum: float | None = Field(
        None, ge=0, lt=1, description="β, or Adam's β₁; none: what the checkpoint's optimiser says"
    )
    tol: Tolerance = 1e-4
    max_products: int | None = Field(
        None, ge=2, description="most products for the eigenvalues of each matrix; none = 540"
    )
    sharpening: bool = Field(True, description="whether to compute the rate of progressive sharpening too")
    seed: int = Field(0, ge=0, description="seed of starting vectors")


def _each(name: str, meaning: str, unit: str = "1", kind: Any = "float") -> Variable:
    return Variable(name, ("checkpoint",), meaning, unit, kind=kind)


SCHEMA = Schema(
    version=1,
    coords=(_each("checkpoint", "checkpoint, in the order of training", "", "str"),),
    variables=(
        _each("at", "how far training had come, in units of progress"),
        Variable("progress", (), "what at counts: epoch, step, or the checkpoint's place", "", kind="str"),
        _each("loss", "loss at the checkpoint", LOSS_UNIT),
        _each("gradient_norm", "norm of the gradient", LOSS_UNIT),
        _each("sharpness", "largest eigenvalue λ of the Hessian", LOSS_UNIT),
        _each("sharpness_error", "its residual norm ‖Hu − λu‖", LOSS_UNIT),
        _each("second", "second largest eigenvalue of the Hessian", LOSS_UNIT),
        _each(
            "preconditioned",
            "largest eigenvalue of P^-½HP^-½, P of the optimiser's state; λ where there is no preconditioner",
            LOSS_UNIT,
        ),
        _each("preconditioned_error", "its residual norm", LOSS_UNIT),
        _each("limit", "value of preconditioned above which steps on a quadratic diverge", LOSS_UNIT),
        _each("ratio", "preconditioned over its limit: 1 at the edge of stability"),
        _each("learning_rate", "learning rate η; NaN if it is not known"),
        _each("momentum", "momentum β, or Adam's β₁"),
        _each("optimiser", "gd, sgd, adam or rmsprop; empty if its state cannot be used", "", "str"),
        _each("steps", "steps that the optimiser counts; 0 if it does not", kind="int"),
        _each("floored", "share of the entries of P that are decided by ε; NaN without a preconditioner"),
        _each("sharpening_rate", "growth −∇L·∇λ of λ per unit of time along the gradient flow", LOSS_UNIT),
        _each("sharpening_rate_error", "its change with the length of the differences", LOSS_UNIT),
        _each("converged", "whether the eigenvalues are within tolerance", "", "bool"),
        Variable("notice", (), "what is not known of which checkpoint, and why", "", "str", optional=True),
    ),
)

NUMBERS = [v.name for v in SCHEMA.variables if v.dims and v.kind == "float" and v.name not in ("at", "ratio")]


def compute(problems: Mapping[Any, Problem], params: StabilityParams, context: Context) -> Mapping[str, Any]:
    """Checkpoint by checkpoint; a run that is killed keeps the finished ones."""
    training = context.inputs.get("training")
    progress, at = _progress(list(problems), training)
    order = sorted(range(len(at)), key=at.__getitem__)
    members = [list(problems.items())[i] for i in order]

    def one(index: int) -> Piece:
        name, problem = members[index]
        known = _of(training, name, order[index])
        return _checkpoint(problem, known, params)

    names = [f"checkpoint-{order[i]}" for i in range(len(members))]
    pieces = context.ledger.collect(names, one, lambda done: context.progress(done / len(members)))
    data: dict[str, Any] = {name: np.array([float(piece[name]) for piece in pieces]) for name in NUMBERS}
    said = {str(name): str(piece["notice"]) for (name, _), piece in zip(members, pieces, strict=True)}
    return {
        **data,
        "checkpoint": np.array([str(name) for name, _ in members]),
        "at": np.array([at[i] for i in order]),
        "progress": progress,
        "ratio": data["preconditioned"] / data["limit"],
        "optimiser": np.array([str(piece["optimiser"]) for piece in pieces]),
        "steps": np.array([int(piece["steps"]) for piece in pieces]),
        "converged": np.array([bool(piece["converged"]) for piece in pieces]),
        "notice": _notices(said),
    }


def _notices(said: Mapping[str, str]) -> str:
    """Each sentence once, with whom it is about; without the last full stop."""
    about: dict[str, list[str]] = {}
    for name, text in said.items():
        for sentence in filter(None, text.split("\n")):
            about.setdefault(sentence, []).append(name)
    return ". ".join(
        f"{'all checkpoints' if len(names) == len(said) > 1 else ', '.join(names)}: {sentence}"
        for sentence, names in about.items()
    )


def _progress(names: Sequence[Any], training: Any) -> tuple[str, list[float]]:
    """What counts how far training had come, and how far: as the zoo knows, as the names say, or in order."""
    known = [_of(training, name, i) for i, name in enumerate(names)]
    if all(isinstance(k.get("at"), int | float) for k in known):
        return str(known[0].get("progress", "step")), [float(k["at"]) for k in known]
    if all(isinstance(name, int | float) and not isinstance(name, bool) for name in names):
        return "step", [float(name) for name in names]
    return "checkpoint", [float(i) for i in range(len(names))]


def _of(training: Any, name: Any, index: int) -> Mapping[str, Any]:
    """What is known of the training of one checkpoint; a bare optimiser, or its state, is taken as one."""
    if training is None:
        return {}
    try:
        known = training[name] if isinstance(training, Mapping) else training[index]
    except (KeyError, IndexError):
        return {}
    if hasattr(known, "state_dict"):
        known = known.state_dict()
    if known is None:
        return {}
    if not isinstance(known, Mapping):
        raise InputError(
            f"training of checkpoint '{name}' takes an optimiser, its state_dict() or a mapping with one"
            f" under 'optimizer'; got a {type(known).__name__}."
        )
    return {"optimizer": known} if "param_groups" in known else known


def _checkpoint(problem: Problem, known: Mapping[str, Any], params: StabilityParams) -> Piece:
    """All numbers of one checkpoint."""
    from landscape.core.curvature.operator import hessian
    from landscape.core.linalg.eigenpairs import eigenpairs

    data: dict[str, Any] = dict.fromkeys(NUMBERS, float("nan"))
    notices: list[str] = []
    state, optimiser = _read(problem, known, params, notices)
    data |= {"optimiser": optimiser, "steps": state.steps, "converged": False}
    data |= {"limit": state.limit, "learning_rate": state.learning_rate, "momentum": state.momentum}
    data["floored"] = state.floored
    data["loss"] = problem.loss()
    if not np.isfinite(data["loss"]):
        notices.append("the loss is not finite, so it has no curvature")
        return _packed(data, notices)
    gradient = problem.gradient().double()
    data["gradient_norm"] = float(gradient.norm())
    options: dict[str, Any] = {"tol": params.tol, "max_products": params.max_products, "seed": params.seed}
    with hessian(problem) as H:
        top = eigenpairs(H, 2, "LA", vectors=True, **options)
        data |= {"sharpness": float(top.values[0]), "sharpness_error": float(top.residuals[0])}
        data["second"] = float(top.values[1]) if len(top.values) > 1 else float("nan")
        data["converged"] = top.converged
        if state.preconditioner is not None:
            ahead = eigenpairs(_preconditioned(H, problem, state), 1, "LA", **options)
            data |= {"preconditioned": float(ahead.values[0])}
            data |= {"preconditioned_error": float(ahead.residuals[0])}
            data["converged"] = top.converged and ahead.converged
        elif optimiser not in ADAPTIVE:
            data |= {"preconditioned": data["sharpness"], "preconditioned_error": data["sharpness_error"]}
    if params.sharpening:
        data |= _sharpening(problem, top, gradient, notices)
    return _packed(data, notices)


def _packed(data: Mapping[str, Any], notices: Sequence[str]) -> Piece:
    return {**{k: np.array(v) for k, v in data.items()}, "notice": np.array("\n".join(notices))}


def _read(
    problem: Problem, known: Mapping[str, Any], params: StabilityParams, notices: list[str]
) -> tuple[Optimiser, str]:
    """The optimiser of a checkpoint and its name, empty if its state cannot be used."""
    from landscape.core.curvature.optimiser_state import Optimiser, read_optimiser

    given = {"learning_rate": params.learning_rate, "momentum": params.momentum}
    try:
        state = read_optimiser(problem, known.get("optimizer"), known.get("scheduler"), **given)
    except InputError as error:
        notices.append(one_line(error))
        return Optimiser("gd", float("nan")), ""
    if np.isnan(state.learning_rate):
        notices.append(
            "no optimiser was saved with the weights, and no learning_rate is given, so that there is no"
            " limit"
        )
    if state.kind in ADAPTIVE and state.preconditioner is None:
        notices.append(f"{state.kind} has made no step, so that it has no preconditioner yet")
    decay = problem.weight_decay
    if state.decoupled and decay:
        notices.append(
            f"AdamW's decay is no part of the loss: preconditioned leaves out the problem's {decay:g}"
        )
    elif state.decoupled is False and known.get("optimizer") is not None and state.weight_decay != decay:
        notices.append(
            f"the optimiser's gradient has a weight decay of {state.weight_decay:g} and the problem's loss"
            f" one of {decay:g}; with weight_decay = {state.weight_decay:g} they are of one loss"
        )
    return state, state.kind


def _preconditioned(H: SymmetricOperator, problem: Problem, state: Optimiser) -> SymmetricOperator:
    """P^-½HP^-½ of the loss whose gradient goes into the optimiser."""
    assert state.preconditioner is not None
    own = H.shift(-problem.weight_decay) if state.decoupled and problem.weight_decay else H
    return own.rescale(state.preconditioner.rsqrt().to(problem.dtype))


def _sharpening(problem: Problem, top: Any, gradient: Any, notices: list[str]) -> dict[str, float]:
    """The rate at which gradient flow sharpens; of a largest eigenvalue that stands apart."""
    from landscape.core.curvature.sharpening import eigenvalue_gradient

    gap = float(top.values[0] - top.values[1]) if len(top.values) > 1 else float("inf")
    if not gap > 10 * float(top.residuals.max()):
        notices.append(
            "the largest eigenvalue does not stand apart from the second, so that it has no derivative"
        )
        return {}
    found = eigenvalue_gradient(problem, top.vectors[:, 0])
    fine, coarse = (-float(gradient @ g) for g in (found.gradient, found.coarse))
    return {"sharpening_rate": fine, "sharpening_rate_error": abs(fine - coarse)}


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Sharpness along training with its limit, that of the preconditioned Hessian, and its growth."""
    unit = loss_unit(datasets)
    progress = " or ".join(dict.fromkeys(str(ds["progress"].item()) for ds in datasets.values()))
    x = Axis(progress)
    raw: list[Mark] = []
    ahead: list[Mark] = []
    rates: list[Mark] = []
    for label, ds in datasets.items():
        who, at = series(label, ds), ds["at"].values
        adaptive = np.isin(ds["optimiser"].values, ADAPTIVE)
        raw.append(_line(at, ds["sharpness"].values, replace(who, label=f"{label}, λ(H)")))
        limit = np.where(np.isfinite(ds["limit"].values), ds["limit"].values, np.nan)
        if np.isfinite(limit[~adaptive]).any():
            raw.append(_limit(at, np.where(adaptive, np.nan, limit), replace(who, label=f"{label}, limit")))
        if np.isfinite(ds["preconditioned"].values[adaptive]).any():
            kept = np.where(adaptive, ds["preconditioned"].values, np.nan)
            ahead.append(_line(at, kept, replace(who, label=f"{label}, λ(P^-½HP^-½)")))
            ahead.append(_limit(at, np.where(adaptive, limit, np.nan), replace(who, label=f"{label}, limit")))
        rate, error = ds["sharpening_rate"].values, ds["sharpening_rate_error"].values
        if np.isfinite(rate).any():
            rates.append(Line(at, rate, who, rate - error, rate + error, markers=True))
    examples = dict(_examples(datasets))
    about = f"Mean loss over {' or '.join(examples) or '?'} examples."
    figures = [
        FigureSpec(
            "sharpness",
            "Sharpness along training",
            x,
            Axis("largest eigenvalue", unit, scale=_scale(raw)),
            tuple(raw),
            "Largest eigenvalue λ of the Hessian (solid), and where there is no preconditioner the curvature"
            " above which full-batch steps of the checkpoint's learning rate η diverge (dashed): 2/η, and 2(1"
            f" + β)/η with momentum. {about}",
        )
    ]
    if ahead:
        figures.append(
            FigureSpec(
                "preconditioned",
                "Preconditioned sharpness along training",
                x,
                Axis("largest eigenvalue", unit, scale=_scale(ahead)),
                tuple(ahead),
                "Largest eigenvalue of P^-½HP^-½ with P from the optimiser's state (solid), and the value"
                " above which its full-batch steps diverge (dashed): (2 + 2β₁)/((1 − β₁)η) of Adam, 2/η of"
                f" RMSprop. {about}",
            )
        )
    if rates:
        figures.append(
            FigureSpec(
                "sharpening",
                "Progressive sharpening",
                x,
                Axis("−∇L·∇λ", f"{unit}²".replace("/", "²/"), scale="symlog", linthresh=_least(rates)),
                (Guide(y=0.0), *rates),
                "How fast the largest eigenvalue λ of the Hessian grows along the gradient flow: a step of"
                f" gradient descent changes λ by about η times as much. {about}",
                Interval(how="no intervals, but the change with the length of the differences", level=None),
            )
        )
    return figures


def _examples(datasets: Mapping[str, xr.Dataset]) -> list[tuple[str, None]]:
    """How many examples the problems have, each number once."""
    import json

    facts = (json.loads(ds.attrs.get("problems", "{}")).values() for ds in datasets.values())
    return [(str(one.get("examples", "?")), None) for several in facts for one in several]


def _line(at: Any, values: Any, who: Any) -> Line:
    return Line(at, values, who, style="solid", markers=True)  # as the captions say


def _limit(at: Any, values: Any, who: Any) -> Line:
    return Line(at, values, who, style="dash")


def _scale(marks: Sequence[Mark]) -> Any:
    values = np.concatenate([np.asarray(m.y) for m in marks if isinstance(m, Line)])
    values = values[np.isfinite(values)]
    return "log" if values.size and values.min() > 0 else "linear"


def _least(marks: Sequence[Mark]) -> float:
    """Where the axis turns linear: a thousandth of the largest rate, or the smallest rate if that is more."""
    y = np.concatenate([np.abs(np.asarray(m.y)) for m in marks if isinstance(m, Line)])
    y = y[np.isfinite(y) & (y > 0)]
    return float(max(y.min(), 1e-3 * y.max())) if y.size else 1.0


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """How near the end of the run, and all of it, is to the edge of stability."""
    unit = loss_unit({"": ds})
    ratio = ds["ratio"].values
    known = ratio[np.isfinite(ratio)]
    rate = ds["sharpening_rate"].values
    names = [str(n) for n in dict.fromkeys(ds["optimiser"].values.tolist()) if n]
    beyond = float((known > 1).mean()) if known.size else float("nan")
    median = float(np.median(rate[np.isfinite(rate)])) if np.isfinite(rate).any() else float("nan")
    return [
        Metric(
            "λmax at the end", float(ds["sharpness"].values[-1]), unit, "largest eigenvalue of the Hessian"
        ),
        Metric(
            "λmax / limit",
            float(ratio[-1]),
            "1",
            f"at the end, in units of P of {' or '.join(names) or 'an unknown optimiser'}; 1 at the edge",
            finding=True,
        ),
        Metric(
            "beyond the limit", beyond, "1", f"share of the {known.size} checkpoints whose limit is known"
        ),
        Metric("sharpening rate", median, unit, "−∇L·∇λ, median over the checkpoints"),
    ]


stability = Analysis(
    name="stability",
    title="Edge of stability",
    description=(
        "The largest eigenvalue of the Hessian over the checkpoints of a run, beside the curvature above"
        " which full-batch steps would diverge (Cohen et al. 2021): 2/η of gradient descent, 2(1 + β)/η of"
        " heavy balls, 2(1 + β)/((1 + 2β)η) of Nesterov's. Of Adam the eigenvalue of P^-½HP^-½, with"
        " P = (1 − β₁ᵗ)(√(v/(1 − β₂ᵗ)) + ε) from the optimiser's state in the checkpoint, against"
        " (2 + 2β₁)/((1 − β₁)η) (Cohen et al. 2022), and of RMSprop P = √v + ε against 2/η. The rate of"
        " progressive sharpening −∇L·∇λ with ∇λ = ∇³L[u, u] (Damian et al. 2023), by differences of Hessian"
        " products. The learning rate is the scheduler's or the optimiser's in the checkpoint, or given. H is"
        " that of the problem's loss with its weight decay, which AdamW's is no part of; examples of a"
        " mini-batch would give other limits. As a library: landscape.stability({step: problem},"
        " training={step: optimiser})."
    ),
    scope="group",
    params=StabilityParams,
    schema=SCHEMA,
    compute=compute,
    plots=plots,
    summary=summary,
    cost=lambda params: Cost(forwards=1.0, gradients=2.0 + 2.5 * (60 + (4 if params.sharpening else 0))),
    inputs=("training",),
    from_zoo=lambda params: FromZoo("training", "its run", what="training", least=1),
)
