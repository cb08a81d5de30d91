"""How long a plan will take: one forward pass and one gradient per kind of model, measured."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from landscape.base.analysis import Cost
from landscape.errors import LandscapeError
from landscape.zoo.builders import find_analysis
from landscape.zoo.loader import Loader
from landscape.zoo.plan import Plan, Shard
from landscape.zoo.spec import Model, PredictiveModel
from landscape.zoo.task import Task

__all__ = ["Estimate", "estimate"]


@dataclass(frozen=True)
class Estimate:
    """One section of a plan.

    Attributes:
        label: The section.
        todo: Tasks to do.
        done: Tasks done before.
        seconds: Estimated time for what is to do on one worker; NaN if no model could be timed.
    """

    label: str
    todo: int
    done: int
    seconds: float


class _Pace(NamedTuple):
    """Seconds of a forward pass and of a gradient over all data, and millions of parameters."""

    forward: float
    gradient: float
    millions: float


def estimate(plan: Plan, todo: Sequence[Task], loader: Loader, shard: Shard | None = None) -> list[Estimate]:
    """Estimate the time of each chosen section.

    Args:
        plan: The plan.
        todo: Its tasks to do.
        loader: Its data are built if they are not yet.
        shard: The part that counts; ``None`` for the whole.
    """
    part = plan.part(shard)
    timed: list[tuple[object, _Pace]] = []

    def pace(model: Model) -> _Pace:
        if isinstance(model, PredictiveModel) and model.fit is not None:
            # Fitting may take long, and to members without weights it means nothing.
            found = [pace(member) for member in model.members]
            return _Pace(*(sum(parts) for parts in zip(*found, strict=True)))
        kind = _kind(model)
        known = next((t for k, t in timed if k == kind), None)
        if known is None:
            known = _measure(model, loader)
            timed.append((kind, known))
        return known

    rows = []
    for label in plan.chosen:
        tasks = [t for t in part if t.label == label]
        open_tasks = [t for t in todo if t.label == label]
        timeable = [t for t in open_tasks if t.error is None]
        cost = _cost(tasks[0], loader) if timeable else Cost()
        seconds = sum(_seconds(t, cost, pace, loader) for t in timeable)
        rows.append(Estimate(label, len(open_tasks), len(tasks) - len(open_tasks), seconds))
    return rows


def _kind(model: Model) -> object:
    """What models of one pace have in common."""
    members = model.members if isinstance(model, PredictiveModel) else ()
    return model.made_by, [member.made_by for member in members]


def _cost(task: Task, loader: Loader) -> Cost:
    """What a task costs; all of a section have the same analysis and options."""
    analysis = find_analysis(task.analysis, loader.setup.folder)
    return analysis.cost(analysis.validate(json.loads(task.options)))


def _seconds(task: Task, cost: Cost, pace: Callable[[Model], _Pace], loader: Loader) -> float:
    # A pair is one problem, whose model takes on the weights of the other.
    members = task.members if task.scope == "group" else task.members[:1]
    examples = sum(loader.sizes())
    share = 1.0 if task.examples is None else min(1.0, task.examples / examples)
    total = 0.0
    for member in members:
        forward, gradient, millions = pace(member)
        total += share * (cost.forwards * forward + cost.gradients * gradient)
        if cost.seconds_per_million:
            total += cost.seconds_per_million * millions
    return total


def _measure(model: Model, loader: Loader) -> _Pace:
    """Seconds of a forward pass and of a gradient over all data, from its first batch."""
    try:
        problem = loader.untrained_problem(model)
        share = problem.examples / sum(loader.sizes())
        times = []
        for work in (problem.loss, problem.gradient):
            start = time.perf_counter()
            work()
            times.append((time.perf_counter() - start) / share)
    except LandscapeError:
        return _Pace(math.nan, math.nan, math.nan)
    return _Pace(*times, problem.size / 1e6)
