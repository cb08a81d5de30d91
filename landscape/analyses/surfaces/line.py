"""``line``: the loss along one direction or many, with error bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from landscape.analyses._shared.captions import LOSS_UNIT, error_bars, loss_unit, of_data, weight_decays
from landscape.analyses._shared.half_width import half_width
from landscape.analyses._shared.loss_colors import loss_colors
from landscape.analyses.surfaces._metrics import (
    OwnMetricOption,
    find_metrics,
    metric_names,
    metric_numbers,
    metric_variables,
    slug,
)
from landscape.analyses.surfaces._options import STILL, DirectionSeed, Ignored, PointStatistics
from landscape.base.analysis import Analysis, Context, Cost, Metric, Params
from landscape.base.figure import Axis, FigureSpec, Line, series
from landscape.base.from_zoo import FromZoo
from landscape.base.interval import Interval
from landscape.base.schema import Schema, Variable
from landscape.core.stats.intervals import answer_error, reach, standard_error
from landscape.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from landscape.base.ledger import Piece
    from landscape.core.problem.problem import Problem
    from landscape.core.surfaces.plane import Plane

Array = NDArray[np.float64]


class LineParams(Params):
    """Options of ``line``."""

    direction: Literal["random", "gradient", "eigenvectors", "models"] = Field(
        "random",
        description="Gaussian draws, the gradient at the checkpoint, top Hessian eigenvectors, or from one"
        " model to another; the inputs `vector` and `models` take their place, and in a manifest each two"
        " checkpoints of a group are the `models`",
    )
    count: int = Field(1, ge=1, description="number of directions, for a mean and a spread")
    normalization: Literal["filter", "layer", "parameter", "none"] = Field(
        "filter", description="how draws and gradient are scaled to the weights (Li et al. 2018)"
    )
    ignore: Ignored = STILL
    low: float = Field(-1.0, description="lowest step along the direction")
    high: float = Field(1.0, description="highest step along the direction")
    steps: int = Field(21, ge=2, le=1_000_000, description="number of points")
    batchnorm: PointStatistics = None
    seed: DirectionSeed = 0
    metrics: OwnMetricOption = ()

    @model_validator(mode="after")
    def _ordered(self) -> LineParams:
        if self.low >= self.high:
            raise ValueError(f"low ({self.low}) must be below high ({self.high})")
        return self


_METRIC, _METRICS = metric_variables("alpha")
_SPREAD = "standard deviation over directions"

SCHEMA = Schema(
    version=3,
    coords=(Variable("alpha", ("alpha",), "step along the direction", "direction norms"), _METRIC),
    variables=(
        Variable("loss", ("alpha",), "loss, weight-decay term included; mean over directions", LOSS_UNIT),
        Variable("loss_se", ("alpha",), "standard error of the data loss over examples", LOSS_UNIT),
        Variable(
            "loss_change_se",
            ("alpha",),
            "standard error of the loss change from α = 0, paired by example",
            LOSS_UNIT,
        ),
        Variable("data_loss", ("alpha",), "loss without the weight-decay term", LOSS_UNIT),
        Variable("penalty", ("alpha",), "weight-decay term", LOSS_UNIT),
        Variable("accuracy", ("alpha",), "share of right answers; mean over directions"),
        Variable("accuracy_se", ("alpha",), "standard error of the accuracy over examples"),
        Variable("loss_by_direction", ("direction", "alpha"), "loss along each direction", LOSS_UNIT),
        Variable("accuracy_by_direction", ("direction", "alpha"), "accuracy along each direction"),
        Variable("loss_spread", ("alpha",), f"{_SPREAD} of the loss; NaN for one", LOSS_UNIT),
        Variable("accuracy_spread", ("alpha",), f"{_SPREAD} of the accuracy; NaN for one"),
        Variable("center_loss", (), "loss at α = 0", LOSS_UNIT),
        Variable("direction_norm", (), "Euclidean norm of the direction; root mean square of several"),
        Variable("direction_norms", ("direction",), "Euclidean norm of each direction"),
        Variable("direction_hash", ("direction",), "content hash of each direction", "", "str"),
        Variable("weight_norm", (), "Euclidean norm of the parameters at α = 0"),
        Variable("examples", (), "number of examples at each point", kind="int"),
        Variable("plane", (), "what the directions are", "", "str"),
        Variable("batchnorm_mode", (), "BatchNorm statistics used", "", "str"),
        Variable("eigenvalues", ("direction",), "Hessian eigenvalue", LOSS_UNIT, optional=True),
        Variable("marker_alpha", ("marker",), "step of a model on the line", optional=True),
        Variable("marker_loss", ("marker",), "true loss of a model", LOSS_UNIT, optional=True),
        Variable("marker_accuracy", ("marker",), "true accuracy of a model", optional=True),
        *_METRICS,
    ),
)


def compute(problem: Problem, params: LineParams, context: Context) -> Mapping[str, Any]:
    """Evaluate the loss at evenly spaced steps, each computed from α = 0 itself."""
    from landscape.analyses._shared.sweep import Sweep
    from landscape.core.linalg.reductions import length
    from landscape.core.problem.batchnorm import policy_in_force
    from landscape.core.problem.evaluator import Evaluator

    plane = _line(problem, params, context.inputs)
    count = len(plane.directions)
    alphas = np.linspace(params.low, params.high, params.steps)
    alphas[np.abs(alphas) < 1e-12 * (params.high - params.low)] = 0.0  # the centre, exactly
    mode = policy_in_force(problem, params.batchnorm, between_models=bool(plane.markers))
    context.ledger.require("directions", plane.fingerprint())
    # Each example's loss, where it is to be averaged over directions: errors are then over examples alone.
    metrics = find_metrics(params.metrics)
    evaluator = Evaluator(problem, plane, statistics=mode, per_example=count > 1, metrics=metrics)
    sweep = Sweep(evaluator, context.ledger, context.progress, count * len(alphas) + len(plane.markers))
    lines = sweep.pieces("direction", [alphas[:, None] * row for row in np.eye(count)])
    by_direction = {name: np.stack([line[name] for line in lines]) for name in ("loss", "accuracy")}
    norms = plane.norms
    data = {
        "alpha": alphas,
        **(lines[0] if count == 1 else _mean(lines, evaluator.center.spread_losses)),
        **{f"{name}_by_direction": values for name, values in by_direction.items()},
        **{f"{name}_spread": _spread(values) for name, values in by_direction.items()},
        "center_loss": evaluator.center.loss,
        "direction_norm": float(norms[0]) if count == 1 else float(np.sqrt(np.square(norms).mean())),
        "direction_norms": norms,
        "direction_hash": np.array(plane.hashes()),
        "weight_norm": length(plane.origin),
        "examples": problem.examples,
        "plane": plane.kind,
        "batchnorm_mode": mode,
    }
    if metrics:
        center = evaluator.center_metrics
        data |= {"metric": np.array(list(metrics))}
        data |= {"center_metric": center["metric_value"], "center_metric_se": center["metric_se"]}
    if plane.eigenvalues is not None:
        data["eigenvalues"] = plane.eigenvalues
    if plane.markers:
        true = sweep.checkpoints(plane.markers)
        data |= {
            "marker_alpha": np.array([m.coordinates[0] for m in plane.markers]),
            "marker_loss": true["loss"],
            "marker_accuracy": true["accuracy"],
        }
    return data


def _line(problem: Problem, params: LineParams, inputs: Mapping[str, Any]) -> Plane:
    """The directions that the options and inputs ask for."""
    import torch

    from landscape.core.problem.states import as_vector
    from landscape.core.surfaces import plane as planes
    from landscape.core.surfaces.directions import normalize

    vector, models = inputs.get("vector"), inputs.get("models")
    single = "vector" if vector is not None else "models" if models is not None else params.direction
    if single == "models" and models is None:
        raise InputError('direction = "models" takes the input models: the other model, or two.')
    if vector is not None and models is not None:
        raise InputError("a line takes the input vector or models, not both.")
    if single in ("vector", "models", "gradient") and params.count > 1:
        raise InputError(f"{single} gives one direction; leave out count={params.count}.")
    if vector is not None:
        return planes.Plane("a given direction", problem.theta, as_vector(problem, vector, "vector")[None])
    if models is not None:
        states = [models] if isinstance(models, Mapping | torch.Tensor) else list(models)
        if len(states) not in (1, 2):
            raise InputError(f"models takes one model beside the checkpoint, or two; got {len(states)}.")
        return planes.model_plane(problem, states if len(states) == 2 else [problem.theta, *states])
    if params.direction == "gradient":
        gradient = normalize(problem, problem.gradient(), params.normalization, ignore=params.ignore)
        return planes.Plane("the gradient", problem.theta, gradient[None])
    if params.direction == "eigenvectors":
        return planes.eigenvector_plane(problem, count=params.count, seed=params.seed)
    return planes.random_plane(
        problem, params.normalization, count=params.count, seed=params.seed, ignore=params.ignore
    )


def _mean(lines: Sequence[Piece], center: Any) -> dict[str, Array]:
    """Means over directions, with standard errors over examples of the mean of each example."""
    own = "metric_examples" in lines[0]
    plain = ("loss", "data_loss", "penalty", "accuracy", *(("metric_value",) if own else ()))
    mean = {name: np.mean([line[name] for line in lines], axis=0) for name in plain}
    losses, correct = (_each_example(lines, name) for name in ("losses", "correct"))
    change = None if losses is None or center is None else losses - center.numpy()
    unknown = np.full(len(mean["loss"]), np.nan)
    errors = {"loss_se": losses, "loss_change_se": change}
    errors |= {"metric_se": _each_example(lines, "metric_examples")} if own else {}
    return (
        mean
        | {name: unknown if v is None else standard_error(v) for name, v in errors.items()}
        | {"accuracy_se": unknown if correct is None else answer_error(correct)}
    )


def _each_example(lines: Sequence[Piece], name: str) -> Array | None:
    """A measure of each example (points, ..., N), as the mean over directions."""
    if name not in lines[0]:
        return None
    mean: Array = np.mean([line[name] for line in lines], axis=0)
    return mean


def _spread(values: Array) -> Array:
    """Standard deviation over directions (directions, points); NaN for one."""
    if len(values) < 2:
        return np.full(values.shape[1], np.nan)
    with np.errstate(invalid="ignore", over="ignore"):
        spread: Array = values.std(axis=0, ddof=1)
    return spread


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Loss, loss change and accuracy along the line; all models on the same axes."""
    first = next(iter(datasets.values()))
    marks: dict[str, list[Any]] = {"loss": [], "change": [], "accuracy": [], "spread": []}
    for label, ds in datasets.items():
        who, x = series(label, ds), ds["alpha"].values
        loss, r = ds["loss"].values, reach(int(ds["examples"]))
        change, change_se = loss - float(ds["center_loss"]), ds["loss_change_se"].values
        marks["loss"].append(Line(x, loss, who, *_band(loss, r * ds["loss_se"].values)))
        marks["change"].append(Line(x, change, who, *_band(change, r * change_se)))
        if np.isfinite(ds["accuracy"].values).any():
            accuracy = ds["accuracy"].values
            marks["accuracy"].append(Line(x, accuracy, who, *_band(accuracy, r * ds["accuracy_se"].values)))
        if ds.sizes["direction"] > 1:
            marks["spread"].append(Line(x, loss, who, *_band(loss, ds["loss_spread"].values)))
    step, unit = Axis("step α along the direction"), loss_unit(datasets)
    counts = [int(ds["examples"]) for ds in datasets.values()]
    how, errors = f"{int(first['examples'])} examples.", error_bars(counts, "over examples")
    if ds_count := max(ds.sizes["direction"] for ds in datasets.values()) - 1:
        how = f"Means over {ds_count + 1} directions. {how}"
    scale = loss_colors("loss", unit, [ds["loss"].values for ds in datasets.values()]).scale
    figures = [
        FigureSpec(
            "loss",
            "Loss along a direction",
            step,
            Axis(of_data(datasets), unit, scale=scale),
            tuple(marks["loss"]),
            f"Loss L(θ + αd), {weight_decays(datasets)}; α = 0 is the checkpoint. {how}",
            errors,
        ),
        FigureSpec(
            "change",
            "Change of the loss from the checkpoint",
            step,
            Axis("loss − loss at the checkpoint", unit),
            tuple(marks["change"]),
            f"L(θ + αd) − L(θ), over the same examples at every point. {how}",
            error_bars(counts, "of the difference, paired by example"),
        ),
    ]
    if marks["accuracy"]:
        figures.append(
            FigureSpec(
                "accuracy",
                "Accuracy along a direction",
                step,
                Axis(of_data(datasets, "accuracy"), limits=(0.0, 1.0)),
                tuple(marks["accuracy"]),
                f"Share of right answers at θ + αd. {how}",
                errors,
            )
        )
    if marks["spread"]:
        figures.append(
            FigureSpec(
                "spread",
                "Loss along several directions",
                step,
                Axis(of_data(datasets), unit, scale=scale),
                tuple(marks["spread"]),
                "Mean of L(θ + αd) over directions.",
                Interval("over directions", "±1 standard deviation", level=None, note="A spread, no error."),
            )
        )
    return [*figures, *_own(datasets, step, how, errors)]


def _own(datasets: Mapping[str, xr.Dataset], step: Axis, how: str, errors: Interval) -> list[FigureSpec]:
    """Metrics of the user's along the line, a figure for each."""
    figures = []
    for name in metric_names(datasets):
        marks = []
        for label, ds in datasets.items():
            if name in metric_names({label: ds}):
                own, r = ds.sel(metric=name), reach(int(ds["examples"]))
                values = own["metric_value"].values
                band = _band(values, r * own["metric_se"].values)
                marks.append(Line(ds["alpha"].values, values, series(label, ds), *band))
        short = name.partition(":")[2]
        figures.append(
            FigureSpec(
                f"metric-{slug(name)}",
                f"{short} along a direction",
                step,
                Axis(short),
                tuple(marks),
                f"Mean over examples of {name} at θ + αd. {how}",
                errors,
            )
        )
    return figures


def _band(values: Array, reach: Array) -> tuple[Array | None, Array | None]:
    if not np.isfinite(reach).any():
        return None, None
    return values - reach, values + reach


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """The loss at the checkpoint and its worst rise along the line."""
    unit = loss_unit({"": ds})
    center = float(ds["center_loss"])
    rise = float(ds["loss"].max(skipna=False)) - center
    at = np.flatnonzero(ds["alpha"].values == 0)
    error = half_width(ds, "loss", at=(at[0],)) if at.size else float("nan")
    return [
        Metric("loss", center, unit, "loss at the checkpoint", error=error),
        Metric("worst rise", rise, unit, "largest loss along the line minus that at α = 0", finding=True),
        *metric_numbers(ds),
    ]


def _from_zoo(params: LineParams) -> FromZoo | None:
    """Which input a zoo has to fill."""
    if params.direction != "models":
        return None
    return FromZoo("models", 'direction = "models"', each="pair", most=2, main="first")


line = Analysis(
    name="line",
    title="Loss along a direction",
    description=(
        "Loss and accuracy at θ + αd for steps α along one direction d or several. Random directions are"
        " filter-normalised (Li et al. 2018, 'Visualizing the loss landscape of neural nets', section 4),"
        " so that models of different weight scale can be compared; biases, norm layers, embeddings of"
        " positions and class tokens do not move."
        " Every point is computed from the checkpoint itself and on the same examples. Between two models,"
        " α = 0 is the first and α = 1 the second."
    ),
    scope="checkpoint",
    params=LineParams,
    schema=SCHEMA,
    compute=compute,
    plots=plots,
    summary=summary,
    cost=lambda params: Cost(
        forwards=(params.count * params.steps + 1.0) * (2 if params.batchnorm == "recalibrate" else 1),
        gradients=350.0 * (params.direction == "eigenvectors") + (params.direction == "gradient"),
    ),
    inputs=("vector", "models"),
    from_zoo=_from_zoo,
)
