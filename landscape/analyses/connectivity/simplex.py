"""``simplex``: volumes of low loss that join all models of a group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from landscape.analyses._shared.captions import LOSS_UNIT, data_word
from landscape.analyses.connectivity._options import HeldOutArguments, HeldOutBuilder
from landscape.analyses.connectivity._profiles import (
    Aligner,
    Meter,
    check_alike,
    group_by_architecture,
    group_loss_unit,
    held_out,
    passes_of_point,
)
from landscape.base.analysis import Analysis, Context, Cost, Metric, Params
from landscape.base.figure import Axis, FigureSpec, Mark, Points, Series
from landscape.base.schema import Schema, Variable
from landscape.core.stats.intervals import reach, standard_error
from landscape.errors import InputError

if TYPE_CHECKING:
    import xarray as xr
    from torch import Tensor

    from landscape.base.ledger import Ledger
    from landscape.batchnorm_policy import BatchNormPolicy
    from landscape.core.problem.problem import Problem

Array = NDArray[np.float64]

MODELS = "models alone"
"""The region between the models themselves."""


class SimplexParams(Params):
    """Options of ``simplex``."""

    points: int = Field(2, ge=1, description="connecting points to train, one after another")
    epochs: int = Field(20, ge=1, description="passes over the data to train each point")
    lr: float = Field(0.01, gt=0, description="learning rate")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum")
    batch_size: int = Field(64, ge=2, description="examples in a step")
    draws: int = Field(5, ge=1, description="random points of the complex in a step")
    volume: float = Field(1e-10, ge=0, description="weight of minus the logarithm of the volume")
    weight_decay: float | None = Field(None, ge=0, description="λ in training; none = that of the problem")
    samples: int = Field(25, ge=2, description="random points at which each region is measured")
    align: Literal["weights", "activations"] | None = Field(
        None, description="whether to put the units of all models in the order of the first, and by what"
    )
    test: HeldOutBuilder = None
    test_kwargs: HeldOutArguments = Field({})
    seed: int = Field(0, ge=0, description="seed of alignment, training and random points")


_SAMPLES, _VERTICES = ("split", "region", "sample"), ("split", "vertex")

SCHEMA = Schema(
    version=2,
    coords=(
        Variable("split", ("split",), "data it was measured on", "", "str"),
        Variable("region", ("region",), "simplex: the models, or a model and all points", "", "str"),
        Variable("vertex", ("vertex",), "model or connecting point", "", "str"),
    ),
    variables=(
        Variable("loss", _SAMPLES, "loss at random points, weight-decay term included", LOSS_UNIT),
        Variable("error", _SAMPLES, "share of wrong answers at random points", "%"),
        Variable("mean_loss", ("split", "region"), "mean of the loss over the simplex", LOSS_UNIT),
        Variable("mean_loss_se", ("split", "region"), "its standard error over random points", LOSS_UNIT),
        Variable("mean_error", ("split", "region"), "mean of the error over the simplex", "%"),
        Variable("vertex_loss", _VERTICES, "loss at each vertex, statistics as inside", LOSS_UNIT),
        Variable("vertex_error", _VERTICES, "error at each vertex", "%"),
        Variable("volume", ("region",), "volume, a length to the power of the dimension"),
        Variable("dimension", ("region",), "dimension of the simplex", "1", "int"),
        Variable("training_loss", ("point", "epoch"), "mean loss at random points in training", LOSS_UNIT),
        Variable("batchnorm_policy", (), "BatchNorm statistics between models", "", "str"),
    ),
)


def compute(problems: Mapping[str, Problem], params: SimplexParams, context: Context) -> Mapping[str, Any]:
    """Points that join the models, and the loss inside every simplex."""
    import torch

    from landscape.core.connectivity.simplex import log_volume, random_shares
    from landscape.core.problem.batchnorm import policy_in_force

    names, first = list(problems), next(iter(problems.values()))
    check_alike(problems)
    test = held_out(first, params.test, params.test_kwargs, context)
    ledger, policy = context.ledger, policy_in_force(first, None)
    models = _models(problems, params)
    passes = (params.samples + 1) * (len(names) + 1) + params.points
    meter = Meter(context.progress, params.points * _training(params) + passes)
    points, losses = _connected(first, models, params, ledger, meter)
    joined = {
        f"{name} + points": torch.cat([model[None], points])
        for name, model in zip(names, models, strict=True)
    }
    simplices = {MODELS: models, **joined}
    generator = torch.Generator().manual_seed(params.seed)
    pieces = []
    for number, vertices in enumerate(simplices.values()):
        # Drawn whether or not the piece is done: a run that goes on must draw the same places for the next.
        places = random_shares(params.samples, len(vertices), generator).to(vertices) @ vertices
        pieces += ledger.collect([f"region-{number:03d}"], _Places(first, places, policy, test).measure)
        meter.advance(params.samples)
    corners = _Places(first, torch.cat([models, points]), policy, test)
    (own,) = ledger.collect(["vertices"], corners.measure)
    meter.reach(np.inf)
    loss, error = (np.stack([piece[name] for piece in pieces], 1) for name in ("loss", "error"))
    return {
        "split": np.array(["train", "test"][: len(loss)]),
        "region": np.array(list(simplices)),
        "vertex": np.array([*names, *(f"point {i + 1}" for i in range(params.points))]),
        "loss": loss,
        "error": error,
        "mean_loss": loss.mean(-1),
        "mean_loss_se": standard_error(loss),
        "mean_error": error.mean(-1),
        "vertex_loss": own["loss"],
        "vertex_error": own["error"],
        "volume": np.array([float(log_volume(v).exp()) for v in simplices.values()]),
        "dimension": np.array([len(v) - 1 for v in simplices.values()]),
        "training_loss": losses,
        "batchnorm_policy": policy,
    }


def _connected(
    problem: Problem, models: Tensor, params: SimplexParams, ledger: Ledger, meter: Meter
) -> tuple[Tensor, Array]:
    """The connecting points (n, P), and their losses in training (n, epochs)."""
    import torch

    from landscape.core.connectivity.simplex import SimplexTraining, connecting_point

    chosen = ("epochs", "lr", "momentum", "batch_size", "draws", "volume", "seed")
    decay = problem.weight_decay if params.weight_decay is None else params.weight_decay
    settings = SimplexTraining(**{name: getattr(params, name) for name in chosen}, weight_decay=decay)
    points, losses = models[:0], []

    def train(_: int) -> dict[str, Array]:
        point, history = connecting_point(problem, models, points, settings)
        return {"point": point.cpu().numpy(), "losses": np.array(history)}

    for number in range(params.points):
        (piece,) = ledger.collect([f"point-{number}"], train)
        points = torch.cat([points, models.new_tensor(piece["point"])[None]])
        losses.append(piece["losses"])
        meter.advance(_training(params))
    return points, np.stack(losses)


def _training(params: SimplexParams) -> float:
    """Passes to train a point."""
    return 3.0 * params.epochs * params.draws


def _models(problems: Mapping[str, Problem], params: SimplexParams) -> Tensor:
    """The models as rows (k, P), in the order of the first one's units if asked."""
    import torch

    from landscape.core.problem.states import differing_rest

    names, every = list(problems), list(problems.values())
    apart = group_by_architecture(every)
    if len(apart) > 1:
        raise InputError(
            f"models '{names[0]}' and '{names[apart[1][0]]}' are of unlike architecture, so no simplex joins"
            " them; choose models of one architecture."
        )
    states = [problem.module.state_dict() for problem in every]
    if params.align is not None:
        align = Aligner(every[0], params.align, params.seed)
        moved = [align(states[0], s)[0] for s in states[1:]]
        states = [states[0], *moved]
    for name, state in zip(names, states, strict=True):
        differs = differing_rest(every[0], states[0], state)
        if differs is not None:
            raise InputError(
                f"models '{names[0]}' and '{name}' differ in '{differs}', which is not among the problem's"
                " parameters, so no simplex joins them; choose it too (parameters=)."
            )
    return torch.stack([every[0].space.flatten(state) for state in states])


class _Places:
    """Points (n, P) at which the problem is measured, with the statistics of the policy."""

    def __init__(self, problem: Problem, places: Tensor, policy: BatchNormPolicy, test: Any) -> None:
        from landscape.core.problem.evaluator import Evaluator, PointSet

        self._count = len(places)
        self._evaluator = Evaluator(problem, PointSet(places), statistics=policy, test=test)

    def measure(self, _: int) -> dict[str, Array]:
        """Loss and error in percent, each (splits, n)."""
        found = [self._evaluator.measure(place) for place in range(self._count)]
        rows = [[(m.loss, 100.0 * (1.0 - m.accuracy)) for m in splits] for splits in found]
        loss, error = np.array(rows).transpose(2, 1, 0)
        return {"loss": loss, "error": error}


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """For each group: the loss at the random points of every simplex, and their means."""
    return [_figure(f"simplex_{i}", label, ds) for i, (label, ds) in enumerate(datasets.items())]


def _figure(name: str, label: str, ds: xr.Dataset) -> FigureSpec:
    regions = [str(region) for region in ds["region"].values]
    marks: list[Mark] = []
    for s, split in enumerate(ds["split"].values.astype(str)):
        part, place = ds.isel(split=s), np.arange(len(regions)) + 0.2 * (s - 0.5 * (ds.sizes["split"] - 1))
        x, y = part["loss"].values.ravel(), np.repeat(place, ds.sizes["sample"])
        marks.append(
            Points(
                x,
                y,
                Series(split, label=f"{data_word(ds, split)}: random points"),
                symbols=("circle",) * len(x),
            )
        )
        mean = Series(f"{split} mean", label=f"{data_word(ds, split)}: mean")
        marks.append(Points(part["mean_loss"].values, place, mean, symbols=("diamond",) * len(place)))
    return FigureSpec(
        name,
        f"Loss inside simplices: {label}",
        Axis("loss", group_loss_unit(ds)),
        Axis("simplex", categories=tuple(regions), limits=(-0.5, len(regions) - 0.5)),
        tuple(marks),
        f"Loss at {ds.sizes['sample']} uniformly random points of the simplex between the models alone, and"
        f" of those between each model and {ds.sizes['point']} trained connecting points (Benton et al."
        f" 2021). BatchNorm: {ds['batchnorm_policy'].item()}.",
    )


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """Loss and error inside the trained simplices and between the models alone, on the problem's data."""
    unit, metrics = group_loss_unit(ds), []
    train = ds.isel(split=0)
    for what, part in ((MODELS, train.isel(region=[0])), ("with points", train.isel(region=slice(1, None)))):
        # Each simplex has random points of its own.
        error = float(np.sqrt((part["mean_loss_se"].values ** 2).sum())) / part.sizes["region"]
        half = reach(ds.sizes["sample"]) * error
        mean = float(part["mean_loss"].mean())
        metrics += [
            Metric(f"loss, {what}", mean, unit, "mean over the simplices", error=half),
            Metric(f"highest loss, {what}", float(part["loss"].max()), unit, "at a random point"),
            Metric(f"error, {what}", float(part["mean_error"].mean()), "%", "mean over the simplices"),
        ]
    volume = float(train["volume"][1:].sum())
    return [*metrics, Metric("volume", volume, "1", "of all simplices with points together")]


def _cost(params: SimplexParams, problem: Problem | None = None) -> Cost:
    passes = passes_of_point(problem, None)
    return Cost(
        forwards=2.0 * params.samples * passes,
        gradients=1.0 * params.points * params.epochs * params.draws,
    )


simplex = Analysis(
    name="simplex",
    title="Simplices between models",
    description=(
        "Connecting points are trained, one after another, so that the loss is low all over the simplices"
        " that each model of a group forms with them (Benton et al. 2021): the mean loss at uniformly random"
        " points, weight-decay term included, less a small weight times the logarithm of the volume. The loss"
        " is then measured at random points of each of these simplices, and of the one between the models"
        " alone. BatchNorm statistics are pooled anew at each point."
    ),
    scope="group",
    params=SimplexParams,
    schema=SCHEMA,
    compute=compute,
    plots=plots,
    summary=summary,
    cost=_cost,
    inputs=("test_data",),
)
