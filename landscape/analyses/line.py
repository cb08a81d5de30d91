"""``line``: the loss along one direction, with error bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from landscape.errors import InputError
from landscape.figure import Axis, FigureSpec, Line
from landscape.registry import (
    LOSS_UNIT,
    Analysis,
    Context,
    Cost,
    Metric,
    Params,
    loss_unit,
    series,
)
from landscape.schema import Schema, Variable

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.problem import Problem


class LineParams(Params):
    """Options of ``line``."""

    direction: Literal["random", "gradient"] = Field(
        "random", description="a Gaussian draw or the gradient at the checkpoint"
    )
    normalization: Literal["filter", "layer", "parameter", "none"] = Field(
        "filter", description="how the direction is scaled to the weights (Li et al. 2018)"
    )
    ignore: tuple[Literal["bias", "norm"], ...] = Field(
        ("bias", "norm"), description="parameters that do not move"
    )
    low: float = Field(-1.0, description="lowest step along the direction")
    high: float = Field(1.0, description="highest step along the direction")
    steps: int = Field(21, ge=2, description="number of points")
    seed: int = Field(0, ge=0, description="seed of the direction")

    @model_validator(mode="after")
    def _ordered(self) -> LineParams:
        if self.low >= self.high:
            raise ValueError(f"low ({self.low}) must be below high ({self.high})")
        return self


SCHEMA = Schema(
    version=1,
    coords=(Variable("alpha", ("alpha",), "step along the direction", "direction norms"),),
    variables=(
        Variable("loss", ("alpha",), "loss, weight-decay term included", LOSS_UNIT),
        Variable("loss_se", ("alpha",), "standard error of the data loss over examples", LOSS_UNIT),
        Variable(
            "loss_change_se",
            ("alpha",),
            "standard error of the loss change from the checkpoint, paired by example",
            LOSS_UNIT,
        ),
        Variable("data_loss", ("alpha",), "loss without the weight-decay term", LOSS_UNIT),
        Variable("penalty", ("alpha",), "weight-decay term", LOSS_UNIT),
        Variable("accuracy", ("alpha",), "share of right answers"),
        Variable("accuracy_se", ("alpha",), "standard error of the accuracy over examples"),
        Variable("center_loss", (), "loss at the checkpoint", LOSS_UNIT),
        Variable("direction_norm", (), "Euclidean norm of the direction"),
        Variable("weight_norm", (), "Euclidean norm of the checkpoint"),
        Variable("examples", (), "number of examples at each point", kind="int"),
    ),
)


def compute(problem: Problem, params: LineParams, context: Context) -> Mapping[str, Any]:
    """Evaluate the loss at evenly spaced steps, each computed from the checkpoint itself."""
    import torch

    from landscape.core.directions import normalize, random_direction

    given = context.inputs.get("vector")
    if given is not None:
        direction = torch.as_tensor(given).to(problem.device, problem.dtype)
        if direction.shape != (problem.size,):
            raise InputError(f"vector has shape {tuple(direction.shape)}, not ({problem.size},).")
        if not direction.isfinite().all():
            raise InputError("vector holds NaN or infinite values; give a finite direction.")
    elif params.direction == "gradient":
        direction = normalize(problem, problem.gradient(), params.normalization, ignore=params.ignore)
    else:
        direction = random_direction(problem, params.normalization, seed=params.seed, ignore=params.ignore)
    if not direction.any():
        raise InputError(
            "the direction is zero, so nothing would move: the gradient or the weights vanish, or `ignore`"
            f" ({', '.join(params.ignore) or 'nothing'}) covers all chosen parameters."
        )
    alphas = np.linspace(params.low, params.high, params.steps)
    alphas[np.abs(alphas) < 1e-12 * (params.high - params.low)] = 0.0  # the centre, exactly
    center = problem.measure()
    rows = []
    for index, alpha in enumerate(alphas):
        point = problem.theta.add(direction, alpha=float(alpha))
        measure = center if alpha == 0.0 else problem.measure(point)
        change = None
        if measure.losses is not None and center.losses is not None:
            change = measure.losses - center.losses
        rows.append(
            {
                "loss": measure.loss,
                "loss_se": _standard_error(measure.losses),
                "loss_change_se": _standard_error(change),
                "data_loss": measure.data_loss,
                "penalty": measure.penalty,
                "accuracy": measure.accuracy,
                "accuracy_se": _standard_error(measure.correct),
            }
        )
        context.progress((index + 1) / len(alphas))
    return {
        "alpha": alphas,
        **{name: np.array([row[name] for row in rows]) for name in rows[0]},
        "center_loss": center.loss,
        "direction_norm": float(direction.double().norm()),
        "weight_norm": float(problem.theta.double().norm()),
        "examples": problem.examples,
    }


def _standard_error(values: Any) -> float:
    """s/√n over examples; NaN where there are no values per example, or only one."""
    if values is None or len(values) < 2:
        return float("nan")
    return float(values.std() / len(values) ** 0.5)


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Loss, loss change and accuracy along the line; all models on the same axes."""
    first = next(iter(datasets.values()))
    marks = {"loss": [], "change": [], "accuracy": []}  # type: dict[str, list[Any]]
    for label, ds in datasets.items():
        who, x = series(label, ds), ds["alpha"].values
        loss, se = ds["loss"].values, ds["loss_se"].values
        change, change_se = loss - float(ds["center_loss"]), ds["loss_change_se"].values
        marks["loss"].append(Line(x, loss, who, *_band(loss, se)))
        marks["change"].append(Line(x, change, who, *_band(change, change_se)))
        if np.isfinite(ds["accuracy"].values).any():
            accuracy = ds["accuracy"].values
            marks["accuracy"].append(Line(x, accuracy, who, *_band(accuracy, ds["accuracy_se"].values)))
    step = Axis("step α along the direction")
    unit = loss_unit(datasets)
    n = int(first["examples"])
    how = f"Bands: ±2 standard errors over {n} examples."
    figures = [
        FigureSpec(
            "loss",
            "Loss along a direction",
            step,
            Axis("loss", unit),
            tuple(marks["loss"]),
            f"Loss L(θ + αd), weight-decay term included; α = 0 is the checkpoint. {how}",
        ),
        FigureSpec(
            "change",
            "Change of the loss from the checkpoint",
            step,
            Axis("loss − loss at the checkpoint", unit),
            tuple(marks["change"]),
            "L(θ + αd) − L(θ). The same examples are used at every point, so the bands are those of the"
            f" paired difference. {how}",
        ),
    ]
    if marks["accuracy"]:
        figures.append(
            FigureSpec(
                "accuracy",
                "Accuracy along a direction",
                step,
                Axis("accuracy", limits=(0.0, 1.0)),
                tuple(marks["accuracy"]),
                f"Share of right answers at θ + αd. {how}",
            )
        )
    return figures


def _band(values: Any, se: Any) -> tuple[Any, Any]:
    if not np.isfinite(se).any():
        return None, None
    return values - 2 * se, values + 2 * se


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """The loss at the checkpoint and its worst rise along the line."""
    unit = loss_unit({"": ds})
    center = float(ds["center_loss"])
    rise = float(ds["loss"].max(skipna=False)) - center
    return [
        Metric("loss", center, unit, "loss at the checkpoint"),
        Metric("worst rise", rise, unit, "largest loss along the line minus that at α = 0"),
    ]


line = Analysis(
    name="line",
    title="Loss along a direction",
    description=(
        "Loss and accuracy at θ + αd for steps α along one direction d. Random directions are"
        " filter-normalised (Li et al. 2018, 'Visualizing the loss landscape of neural nets', section 4),"
        " so that models of different weight scale can be compared; biases and norm layers do not move."
        " Every point is computed from the checkpoint itself and on the same examples."
    ),
    scope="checkpoint",
    params=LineParams,
    schema=SCHEMA,
    compute=compute,
    plots=plots,
    summary=summary,
    cost=lambda params: Cost(forwards=params.steps + 1.0),
    inputs=("vector",),
)
