"""``spawn_barriers``: barriers between children of one training against the step at which they parted."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from landscape.analyses._shared.captions import LOSS_UNIT, data_word
from landscape.analyses.connectivity._options import (
    BetweenModels,
    HeldOutArguments,
    HeldOutBuilder,
    Resamples,
    Rounds,
)
from landscape.analyses.connectivity._profiles import (
    QUANTITIES,
    Meter,
    barrier_values,
    barrier_variables,
    check_alike,
    group_by_architecture,
    held_out,
    profile,
)
from landscape.base.analysis import Analysis, Context, Cost, Metric, Params
from landscape.base.figure import Axis, FigureSpec, Line, Mark, Points, Series
from landscape.base.interval import Interval
from landscape.base.schema import Schema, Variable
from landscape.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.problem.problem import Problem


class SpawnBarriersParams(Params):
    """Options of ``spawn_barriers``."""

    pattern: str = Field(
        r"^(.*)spawn(\d+)",
        description="regular expression for names of children: its first group names the parent, its last"
        " group the step or epoch at which they parted",
    )
    step_unit: str = Field("epoch", description="what the number in the names counts")
    steps: int = Field(7, ge=3, le=10_001, description="evenly spaced points on each line, with both ends")
    refine: Rounds = 2
    batchnorm: BetweenModels = None
    test: HeldOutBuilder = None
    test_kwargs: HeldOutArguments = Field({})
    resamples: Resamples = 500
    seed: int = Field(0, ge=0, description="seed of the bootstrap")


_PAIR = ("pair",)
_EACH = ("split", "pair")

SCHEMA = Schema(
    version=1,
    coords=(
        Variable("split", ("split",), "data it was measured on", "", "str"),
        Variable("pair", _PAIR, "two children of one step", "", "str"),
        Variable("quantity", ("quantity",), "what is measured along the line", "", "str"),
        Variable("quantity_unit", ("quantity",), "its unit", "", "str"),
    ),
    variables=(
        *barrier_variables(_EACH),
        Variable("step", _PAIR, "step or epoch at which the two parted"),
        Variable("distance", _PAIR, "distance of the two in parameter space"),
        Variable("step_unit", (), "what steps are", "", "str"),
        Variable("examples", ("split",), "number of examples", kind="int"),
        Variable("batchnorm_policy", (), "where BatchNorm statistics in between come from", "", "str"),
    ),
)


def siblings(names: Sequence[str], pattern: str) -> list[tuple[int, str, str]]:
    r"""Pairs of children of one parent and step, as (step, name, name), by step.

    Raises:
        InputError: If the pattern cannot be used, or no two names are siblings by it.

    Example:
        >>> siblings(["net-spawn0-o1", "net-spawn0-o2", "net-spawn4-o1", "net"], r"^(.*)spawn(\d+)")
        [(0, 'net-spawn0-o1', 'net-spawn0-o2')]
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise InputError(
            f"pattern '{pattern}' of spawn_barriers is no regular expression: {error}."
        ) from error
    if not expression.groups:
        raise InputError(f"pattern '{pattern}' of spawn_barriers has no group for the step; put it in ().")
    families: dict[tuple[str, int], list[str]] = {}
    for name in names:
        found = expression.search(name)
        if found is None or not str(found.groups()[-1]).isdigit():
            continue
        parent = "".join(str(part) for part in found.groups()[:-1])
        families.setdefault((parent, int(found.groups()[-1])), []).append(name)
    ordered = sorted(families.items(), key=lambda item: (item[0][1], item[0][0]))
    pairs = [(step, a, b) for (_, step), children in ordered for a, b in combinations(children, 2)]
    if not pairs:
        raise InputError(
            f"no two models are children of one step by their names (pattern '{pattern}'), such as"
            " 'net-spawn3-o1' and 'net-spawn3-o2'; `landscape.reference.training.branch` trains some."
        )
    return pairs


def compute(
    problems: Mapping[str, Problem], params: SpawnBarriersParams, context: Context
) -> Mapping[str, Any]:
    """The straight line between every two children of one step."""
    import torch

    from landscape.core.connectivity.curve import straight
    from landscape.core.connectivity.end_states import curve_evaluator
    from landscape.core.problem.batchnorm import policy_in_force
    from landscape.core.problem.states import as_vector

    pairs = siblings(list(problems), params.pattern)
    check_alike(problems)
    taken = {name: problems[name] for _, *names in pairs for name in names}
    if len(group_by_architecture(list(taken.values()))) > 1:
        raise InputError("children of one training are of unlike architecture; choose one family (models =).")
    first = next(iter(taken.values()))
    test = held_out(first, params.test, params.test_kwargs, context)
    splits = 1 if test is None else 2
    policy = policy_in_force(first, params.batchnorm)
    meter = Meter(context.progress, splits * len(pairs) * (params.steps + 2 * params.refine))
    cells, lengths = [], []
    for number, (_, a, b) in enumerate(pairs):
        problem, ends = problems[a], [problems[name].module.state_dict() for name in (a, b)]
        vectors = [as_vector(problem, state, name) for state, name in zip(ends, (a, b), strict=True)]
        path = straight(*vectors)
        run = curve_evaluator(problem, path, *ends, policy=policy, test=test)
        measured = profile(
            f"pair-{number:03d}", path, run, params.steps, params.refine, context.ledger, meter
        )
        eps = torch.finfo(problem.dtype).eps
        cells.append(barrier_values(measured, splits, resamples=params.resamples, seed=params.seed, eps=eps))
        lengths.append(path.chord)
    return {
        **{name: np.stack([cell[name] for cell in cells], 1) for name in cells[0]},
        "split": np.array(["train", "test"][:splits]),
        "pair": np.array([f"{a} ~ {b}" for _, a, b in pairs]),
        "quantity": np.array(QUANTITIES),
        "quantity_unit": np.array([LOSS_UNIT, LOSS_UNIT, "%"]),
        "step": np.array([float(step) for step, *_ in pairs]),
        "distance": np.array(lengths),
        "step_unit": params.step_unit,
        "examples": np.array([first.examples] + ([] if test is None else [sum(b.size for b in test)])),
        "batchnorm_policy": policy,
    }


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Barriers of error and loss against the step at which children parted."""
    figures = []
    first = next(iter(datasets.values()))
    for quantity, unit in (("error", "percentage points"), ("loss", LOSS_UNIT)):
        marks: list[Mark] = []
        for label, ds in datasets.items():
            for split in ds["split"].values.astype(str):
                at = ds.sel(split=split, quantity=quantity)
                if not np.isfinite(at["barrier_mean"].values).any():
                    continue
                several = ds.sizes["split"] > 1
                who = Series(label if not several else f"{label} {split}", label=_named(label, ds, split))
                steps = np.unique(at["step"].values)
                columns = ("barrier_mean", "barrier_mean_low", "barrier_mean_high")
                mean, low, high = (
                    np.array([at[name].values[at["step"].values == step].mean() for step in steps])
                    for name in columns
                )
                marks.append(Line(steps, mean, who, low, high))
                texts = tuple(str(pair) for pair in ds["pair"].values)
                marks.append(Points(at["step"].values, at["barrier_mean"].values, who, texts=texts))
        if marks:
            figures.append(
                FigureSpec(
                    quantity,
                    f"Barrier of the {quantity} between children by the step at which they part",
                    Axis(f"{first['step_unit'].item()} at which children part"),
                    Axis(f"{quantity} barrier", unit),
                    tuple(marks),
                    "Children of one training part from it with its optimiser and schedule and go on with"
                    " different orders of the data: highest value on the straight line between two of them"
                    " above the mean of its ends (Frankle et al. 2020). Points: pairs; line: their mean."
                    f" BatchNorm: {first['batchnorm_policy'].item()}.",
                    Interval("over examples", "by the bootstrap", note="Of several pairs the ends' means."),
                    leads=quantity == "error",
                )
            )
    return figures


def _named(label: str, ds: xr.Dataset, split: str) -> str | None:
    return None if ds.sizes["split"] == 1 else f"{label}: {data_word(ds, split)}"


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """The first step from which no pair has a barrier, and the barriers at both ends."""
    at = ds.isel(split=-1).sel(quantity="loss")
    steps, barrier, p = at["step"].values, at["barrier_mean"].values, at["p_value"].values
    unit = str(ds["step_unit"].item())
    barred = steps[(p < 0.05) & np.isfinite(p)]
    after = np.unique(steps[steps > barred.max()]) if barred.size else np.unique(steps)
    free = float(after[0]) if after.size and np.isfinite(p).all() else float("nan")
    ends = [np.unique(steps)[[0, -1]][k] for k in (0, 1)]
    return [
        Metric(
            "joined from",
            free,
            f"{unit}s",
            "first of these from which on no two children have a loss barrier beyond the noise; NaN if none",
            finding=True,
        ),
        *(
            Metric(
                f"loss barrier, {which}",
                float(barrier[steps == end].mean()),
                LOSS_UNIT,
                f"mean over pairs that parted at {unit} {end:g}",
                error=float(
                    (at["barrier_mean_high"].values - at["barrier_mean_low"].values)[steps == end].mean() / 2
                ),
            )
            for which, end in zip(("earliest", "latest"), ends, strict=True)
        ),
    ]


spawn_barriers = Analysis(
    name="spawn_barriers",
    title="Barriers of children by spawn step",
    description=(
        "The loss and error on the straight line between children of one training, against the step at"
        " which they parted from it (Frankle et al. 2020): from the step on from which there is no barrier,"
        " the order of the data no longer decides in which basin a training ends. Which models are"
        " siblings, and their step, is read off their names. `landscape.reference.training.branch` trains"
        " children that keep the parent's optimiser and schedule. Every barrier with a paired bootstrap"
        " interval."
    ),
    scope="group",
    params=SpawnBarriersParams,
    schema=SCHEMA,
    compute=compute,
    plots=plots,
    summary=summary,
    # two children of each step are one pair: half a line for each model
    cost=lambda params: Cost(forwards=0.5 * 2.2 * (params.steps + 2 * params.refine)),
    inputs=("test_data",),
)
