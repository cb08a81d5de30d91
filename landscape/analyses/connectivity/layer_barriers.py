"""``layer_barriers``: the barrier that each layer puts between two models, alone and with those before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from landscape.analyses._shared.captions import LOSS_UNIT
from landscape.analyses.connectivity._options import BetweenModels, Resamples, Rounds
from landscape.analyses.connectivity._profiles import (
    QUANTITIES,
    Aligner,
    Meter,
    barrier_values,
    barrier_variables,
    passes_of_point,
    profile,
)
from landscape.base.analysis import Analysis, Context, Cost, Metric, Pair, Params
from landscape.base.figure import Axis, FigureSpec, Line, Points, Series
from landscape.base.interval import Interval
from landscape.base.schema import Schema, Variable

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.problem.evaluator import Evaluator
    from landscape.core.problem.problem import Problem

WAYS = {"one": "this layer alone", "up to": "all layers up to this one"}


class LayerBarriersParams(Params):
    """Options of ``layer_barriers``."""

    ways: tuple[Literal["one", "up to"], ...] = Field(
        ("one", "up to"),
        min_length=1,
        description="what goes to the second model: one layer, or all up to it",
    )
    steps: int = Field(7, ge=3, le=10_001, description="evenly spaced points on each path, with both ends")
    refine: Rounds = 1
    align: Literal["weights", "activations"] | None = Field(
        None, description="put the second model's units in the order of the first's before"
    )
    batchnorm: BetweenModels = None
    resamples: Resamples = 500
    seed: int = Field(0, ge=0, description="seed of the bootstrap and of the alignment")


DIMS = ("way", "layer")

SCHEMA = Schema(
    version=1,
    coords=(
        Variable("way", ("way",), "what goes to the second model", "", "str"),
        Variable("layer", ("layer",), "module whose parameters go, in the model's order", "", "str"),
        Variable("quantity", ("quantity",), "what is measured along the path", "", "str"),
        Variable("quantity_unit", ("quantity",), "its unit", "", "str"),
        Variable("end", ("end",), "end of the path", "", "str"),
    ),
    variables=(
        *barrier_variables(DIMS),
        Variable("value", (*DIMS, "quantity", "end"), "quantity at both ends of the path", "of quantity"),
        Variable("distance", DIMS, "length of the path in parameter space"),
        Variable("parameters", ("layer",), "parameters of the layer", kind="int"),
        Variable("examples", (), "number of examples", kind="int"),
        Variable("batchnorm_policy", (), "where BatchNorm statistics in between come from", "", "str"),
    ),
)


def compute(pair: Pair, params: LayerBarriersParams, context: Context) -> Mapping[str, Any]:
    """A straight path for each layer, which moves its parameters and buffers and no others."""
    import torch

    from landscape.core.connectivity.curve import straight
    from landscape.core.connectivity.end_states import curve_evaluator
    from landscape.core.problem.batchnorm import policy_in_force
    from landscape.core.problem.parameters import group_parameters
    from landscape.core.problem.states import as_vector, full_state

    problem = pair.problem
    policy = policy_in_force(problem, params.batchnorm)
    start, end = full_state(problem, pair.a), full_state(problem, pair.b)
    if params.align is not None:
        end = full_state(problem, Aligner(problem, params.align, params.seed)(pair.a, pair.b)[0])
    names = problem.space.names
    groups = group_parameters(names, "module")
    layers = {layer or type(problem.module).__name__: [names[i] for i in at] for layer, at in groups.items()}
    origin, eps = as_vector(problem, start, "model a"), torch.finfo(problem.dtype).eps
    meter, ledger = Meter(context.progress, _points(params, len(layers))), context.ledger
    beginning: dict[str, Any] = {}  # all paths start at the first model
    alone: Any = None
    cells: list[list[dict[str, Any]]] = []
    for way in params.ways:
        gone = dict(start)
        row = []
        for number, members in enumerate(layers.values()):
            if way == "one":
                gone = dict(start)
            gone |= {name: end[name] for name in [*members, *_buffers(problem, members)]}
            path = straight(origin, as_vector(problem, gone, "model b"))
            run = curve_evaluator(problem, path, start, dict(gone), policy=policy)
            label = f"{way.replace(' ', '-')}-{number}"
            if number == 0 and alone is not None:  # the first layer, and all up to it
                measured = alone
            else:
                shared: Any = _SharedStart(run, beginning)
                measured = profile(label, path, shared, params.steps, params.refine, ledger, meter)
                alone = measured if number == 0 else alone
            found: dict[str, Any] = barrier_values(
                measured, 1, resamples=params.resamples, seed=params.seed, eps=eps
            )
            found = {name: values[0] for name, values in found.items()}
            curves = [measured.profile(quantity, 0).values for quantity in QUANTITIES]
            row.append({**found, "value": np.array([[c[0], c[-1]] for c in curves]), "distance": path.chord})
        cells.append(row)
    context.progress(1.0)
    shapes = dict(zip(names, problem.space.sizes, strict=True))
    return {
        **{name: np.array([[cell[name] for cell in row] for row in cells]) for name in cells[0][0]},
        "way": np.array(params.ways),
        "layer": np.array(list(layers)),
        "quantity": np.array(QUANTITIES),
        "quantity_unit": np.array([LOSS_UNIT, LOSS_UNIT, "%"]),
        "end": np.array(["a", "b"]),
        "parameters": np.array([sum(shapes[name] for name in members) for members in layers.values()]),
        "examples": problem.examples,
        "batchnorm_policy": policy,
    }


class _SharedStart:
    """The points of a path; the first model, at which every path starts, is measured once for all."""

    def __init__(self, run: Evaluator[float], beginning: dict[str, Any]) -> None:
        self._run, self._beginning = run, beginning

    def values(self, t: float) -> dict[str, Any]:
        """As of the evaluator."""
        if t != 0.0:
            return self._run.values(t)
        if not self._beginning:
            self._beginning.update(self._run.values(t))
        return dict(self._beginning)


def _points(params: LayerBarriersParams, layers: int) -> float:
    """Points of all paths, those shared being counted once."""
    paths = len(params.ways) * layers - (len(params.ways) - 1)
    return float(paths * (params.steps + 2 * params.refine - 1) + 1)


def _buffers(problem: Problem, members: Sequence[str]) -> list[str]:
    """Buffers of the modules that hold these parameters: statistics go with the scales they belong to."""
    homes = {name.rpartition(".")[0] for name in members}
    return [name for name, _ in problem.module.named_buffers() if name.rpartition(".")[0] in homes]


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Barriers of loss and error by layer, for each way of moving them."""
    figures = []
    first = next(iter(datasets.values()))
    for quantity, unit in (("loss", LOSS_UNIT), ("error", "percentage points")):
        for way in first["way"].values.astype(str):
            marks: list[Any] = []
            for label, ds in datasets.items():
                if way not in ds["way"].values:
                    continue
                at = ds.sel(quantity=quantity, way=way)
                x, y = np.linspace(0.0, 1.0, ds.sizes["layer"]), at["barrier_chord"].values
                who = Series(model=label)
                ends = at["barrier_chord_low"].values, at["barrier_chord_high"].values
                texts = tuple(
                    f"{name}: {n} parameters, {a:.3g} to {b:.3g}"
                    for name, n, (a, b) in zip(
                        ds["layer"].values, ds["parameters"].values, at["value"].values, strict=True
                    )
                )
                marks += [Line(x, y, who, *ends), Points(x, y, who, texts=texts)]
            figures.append(
                FigureSpec(
                    f"{quantity}_{way.replace(' ', '_')}",
                    f"Barrier of the {quantity}, {WAYS[way]}",
                    Axis("depth (0 = first layer, 1 = last)", limits=(-0.02, 1.02)),
                    Axis("barrier above the chord", unit),
                    tuple(marks),
                    f"Of two models {WAYS[way]} goes straight from the first to the second, and the rest"
                    f" stays: largest rise of the {quantity} above the line between the ends of that path"
                    f" (Adilova et al. 2024). A point per layer; {int(first['examples'])} examples.",
                    Interval("over examples", "by the bootstrap"),
                )
            )
    return figures


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """The layer with the largest barrier, alone, and that of all together."""
    found = []
    loss = ds.sel(quantity="loss")
    if "one" in ds["way"].values:
        barriers = loss["barrier_chord"].sel(way="one").values
        known = np.isfinite(barriers).any()
        most = int(np.nanargmax(barriers)) if known else 0
        found += [
            Metric(
                "largest barrier of a layer",
                float(barriers[most]) if known else float("nan"),
                LOSS_UNIT,
                f"loss above the chord, moved alone: {ds['layer'].values[most]}",
                finding=True,
            ),
            Metric("its depth", most / max(len(barriers) - 1, 1), "1", "0 the first layer, 1 the last"),
        ]
    if "up to" in ds["way"].values:
        whole = float(loss["barrier_chord"].sel(way="up to").values[-1])
        found.append(Metric("barrier of all layers", whole, LOSS_UNIT, "loss above the chord"))
    return found


def _cost(params: LayerBarriersParams, problem: Problem | None = None) -> Cost:
    layers = 20
    if problem is not None:
        from landscape.core.problem.parameters import group_parameters

        layers = len(group_parameters(problem.space.names, "module"))
    return Cost(forwards=_points(params, layers) * passes_of_point(problem, params.batchnorm))


layer_barriers = Analysis(
    name="layer_barriers",
    title="Barriers by layer",
    description=(
        "The loss between two models if one layer goes straight from the first's weights to the second's"
        " while the rest stays the first's, and if all layers up to one do (Adilova et al. 2024,"
        " Layer-wise linear mode connectivity): each barrier with a paired bootstrap interval. A layer is a"
        " module with parameters of its own; its buffers go with it. A path may end at a far higher loss than"
        " it began and have no barrier: both ends are kept (`value`)."
    ),
    scope="pair",
    params=LayerBarriersParams,
    schema=SCHEMA,
    compute=compute,
    plots=plots,
    summary=summary,
    cost=_cost,
)
