"""The merges of a group, measured beside its members and their ensemble."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from landscape.analyses._shared.given_weights import given_weights
from landscape.analyses.connectivity._profiles import check_alike, group_by_architecture, held_out
from landscape.analyses.connectivity.merging.options import MergingParams
from landscape.base.analysis import Context
from landscape.core.stats.intervals import answer_error, standard_error
from landscape.errors import InputError, one_line

if TYPE_CHECKING:
    from torch import Tensor

    from landscape.core.data.batches import Batch
    from landscape.core.problem.measure import PartialMeasure
    from landscape.core.problem.problem import Problem

__all__ = ["ALIGNED", "LABELS", "compute"]

ALIGNED = "aligned"

LABELS = {
    "mean": "mean",
    "fisher": "Fisher",
    "regmean": "RegMean",
    "task_arithmetic": "task arithmetic",
    "ties": "TIES",
    "slerp": "SLERP",
}
"""What methods are called in pictures."""


class _Entry(NamedTuple):
    """One model of the result: per split what was measured, or nothing if it failed."""

    name: str
    kind: str
    measured: list[PartialMeasure] | None
    note: str = ""
    distance: float = float("nan")


def compute(problems: Mapping[str, Problem], params: MergingParams, context: Context) -> Mapping[str, Any]:
    """Merge by each method, as trained and in one order of units, and measure all on the same examples."""
    names, every = list(problems), list(problems.values())
    _check(names, problems)
    test = held_out(every[0], params.test, params.test_kwargs, context)
    base = given_weights(
        context,
        "base",
        params.base_state,
        params.base_state_kwargs,
        "merging",
        "the base of a merge is",
    )
    methods = _methods(params, base, len(every))
    context.progress(0.05)
    splits = [every[0].batches] + ([test] if test is not None else [])
    entries = [_Entry(n, "member", _measured(p, None, splits)) for n, p in problems.items()]
    entries.append(_Entry("ensemble", "ensemble", _ensemble(every, splits)))
    context.progress(0.2)
    orders = ["", ALIGNED] if params.align is not None else [""]
    for number, order in enumerate(orders):
        states = _states(problems, params if order else None)
        usable = [m for m in methods if not (order and m in ("task_arithmetic", "ties"))]
        for k, method in enumerate(usable):
            entries.append(_merge(problems, states, method, order, params, base, splits))
            context.progress(0.2 + 0.8 * (number + (k + 1) / len(usable)) / len(orders))
    return {
        "split": np.array(["train", "test"][: len(splits)]),
        "entry": np.array([e.name for e in entries]),
        "kind": np.array([e.kind for e in entries]),
        **_numbers(entries, len(splits)),
        "note": np.array([e.note for e in entries]),
        "distance": np.array([e.distance for e in entries]),
        "examples": np.array([sum(b.size for b in batches) for batches in splits]),
        "batchnorm": params.batchnorm,
    }


def _check(names: Sequence[str], problems: Mapping[str, Problem]) -> None:
    check_alike(problems)
    if len(names) < 2:
        raise InputError(f"merging takes at least two models; got {len(names)}.")
    apart = group_by_architecture(list(problems.values()))
    if len(apart) > 1:
        raise InputError(
            f"models '{names[0]}' and '{names[apart[1][0]]}' are of unlike architecture, or their heads have"
            " other sizes, so they cannot be merged; choose models of one architecture (models =)."
        )


def _methods(params: MergingParams, base: Any, models: int) -> list[str]:
    if params.methods:
        return list(dict.fromkeys(params.methods))
    left_out = set() if base is not None else {"task_arithmetic", "ties"}
    left_out |= {"slerp"} if models != 2 else set()
    return [method for method in LABELS if method not in left_out]


def _states(problems: Mapping[str, Problem], params: MergingParams | None) -> list[dict[str, Tensor]]:
    """The members' states, aligned if there are options."""
    from landscape.core.merging.merge import in_one_order

    if params is None:
        return in_one_order(problems, None)
    try:
        return in_one_order(problems, params.align, seed=params.seed)
    except InputError as error:
        raise InputError(f"{str(error).rstrip('.')}; align = none merges models as trained.") from error


def _merge(
    problems: Mapping[str, Problem],
    states: Sequence[Mapping[str, Tensor]],
    method: Any,
    order: str,
    params: MergingParams,
    base: Any,
    splits: Sequence[Sequence[Batch]],
) -> _Entry:
    """One merge; where the method cannot be used, the reason in place of its numbers."""
    from landscape.core.merging.merge import FROM_BASE, MergeOptions, merge

    name = f"{LABELS[method]}, {order}" if order else LABELS[method]
    options = MergeOptions(
        scale=params.scale,
        keep=params.keep,
        shrink=params.shrink,
        part=params.slerp_angle,
        roots=params.fisher,
        samples=params.samples,
        seed=params.seed,
    )
    given = base if method in FROM_BASE else None
    try:
        made = merge(problems, method, base=given, batchnorm=params.batchnorm, options=options, states=states)
    except InputError as error:
        if params.methods:  # asked for by name
            raise
        return _Entry(name, "merge", None, one_line(error))
    first = next(iter(problems.values()))
    return _Entry(
        name,
        "merge",
        _measured(first, made.state, splits),
        " ".join(made.notes),
        float(np.mean([_distance(first, made.state, state) for state in states])),
    )


def _distance(problem: Problem, a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
    from landscape.core.linalg.reductions import distance

    return float(distance(problem.space.flatten(a), problem.space.flatten(b)))


def _measured(
    problem: Problem, state: Mapping[str, Tensor] | None, splits: Sequence[Sequence[Batch]]
) -> list[Any]:
    """`Problem.measure` of a state, or of the problem's own, on each of the data."""
    from landscape.core.problem.states import rest_of_state

    at = None if state is None else problem.space.flatten(state)
    with rest_of_state(problem, {} if state is None else state):
        return [problem.measure(at, None if s == 0 else part) for s, part in enumerate(splits)]


def _ensemble(problems: Sequence[Problem], splits: Sequence[Sequence[Batch]]) -> list[Any] | None:
    """The members' averaged predictions: mean probabilities, or mean outputs under a squared error."""
    from landscape.core.problem.measure import measure

    first = problems[0]
    if first.loss_name not in ("cross_entropy", "mse", "half_squared_error"):
        return None

    def outcomes(batches: Sequence[Batch]) -> Iterator[tuple[int, Any, Any]]:
        for batch in batches:
            made = [problem.output(batch) for problem in problems]
            yield batch.size, _average(first, [output for output, _ in made]), made[0][1]

    return [
        measure(outcomes(part), first.criterion, first.classification or first.reading) for part in splits
    ]


def _average(problem: Problem, outputs: Sequence[Tensor]) -> Tensor:
    import torch

    together = torch.stack(list(outputs))
    if problem.loss_name != "cross_entropy":
        return together.mean(0)
    axis = problem.reading.axis or 1
    log_p = together.log_softmax(axis if axis < 0 else axis + 1)
    return log_p.logsumexp(0) - float(np.log(len(outputs)))


def _numbers(entries: Sequence[_Entry], splits: int) -> dict[str, Any]:
    """Losses and answers, arrays (splits, entries)."""
    what = ("loss", "accuracy", "loss_change")
    found = {n: np.full((splits, len(entries)), np.nan) for w in what for n in (w, f"{w}_se")}
    for s in range(splits):
        losses = [None if e.measured is None else _array(e.measured[s].losses) for e in entries]
        members = [losses[i] for i, e in enumerate(entries) if e.kind == "member"]
        centre = None if any(m is None for m in members) else np.mean(np.stack(members), 0)  # type: ignore[arg-type]
        for i, (entry, own) in enumerate(zip(entries, losses, strict=True)):
            if entry.measured is None:
                continue
            found["loss"][s, i] = _mean_loss(entry.measured[s]) if own is None else own.mean()
            found["loss_se"][s, i] = standard_error(own)
            right = _array(entry.measured[s].correct)
            if right is not None:
                found["accuracy"][s, i] = right.mean()
                found["accuracy_se"][s, i] = answer_error(right)
            if own is not None and centre is not None:
                change = own - centre
                found["loss_change"][s, i] = change.mean()
                found["loss_change_se"][s, i] = standard_error(change)
    return found


def _mean_loss(measured: Any) -> float:
    """Of a loss that only gives batch means."""
    return float(measured.data_loss) if hasattr(measured, "data_loss") else measured.total / measured.examples


def _array(values: Tensor | None) -> Any:
    return None if values is None else values.double().cpu().numpy()
