"""What a plan will do and take: each checkpoint loaded once, each kind of model timed."""

from __future__ import annotations

import inspect
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from landscape.base.analysis import Cost
from landscape.errors import LandscapeError, one_line, reason
from landscape.zoo.builders import find_analysis
from landscape.zoo.costs import Costs, cost_key
from landscape.zoo.loader import Loader
from landscape.zoo.plan import Plan, Shard
from landscape.zoo.spec import Model, PredictiveModel
from landscape.zoo.task import Setup, Task, bundle

if TYPE_CHECKING:
    from landscape.base.analysis import Analysis, Params
    from landscape.core.problem.problem import Problem

__all__ = ["Estimate", "estimate"]


@dataclass(frozen=True)
class Estimate:
    """One section of a plan.

    Attributes:
        label: The section.
        todo: Tasks to do.
        done: Tasks done before.
        seconds: Estimated time for what is to do on one worker; NaN if a model could not be timed.
        measured: How many of the tasks to do are priced by what such tasks took before in this store.
        failing: Why tasks to do will fail, in a sentence each, by subject.
        note: What else to say: why the section has no task, or which members a group will be without.
    """

    label: str
    todo: int
    done: int
    seconds: float
    measured: int = 0
    failing: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


def estimate(
    plan: Plan,
    todo: Sequence[Task],
    loader: Loader,
    shard: Shard | None = None,
    costs: Costs | None = None,
) -> list[Estimate]:
    """Estimate the time of each chosen section, and find what will fail before it is run.

    Every checkpoint that is needed is loaded into its model once. A task that shares its pass over the data
    with others pays for its own part alone.

    Args:
        plan: The plan.
        todo: Its tasks to do.
        loader: Its data are built if they are not yet.
        shard: The part that counts; ``None`` for the whole.
        costs: What tasks took before; ``None`` for nothing.
    """
    part = plan.part(shard)
    priced = _Prices(todo, loader, costs or Costs(), plan.setup)
    rows = []
    for label in plan.chosen:
        tasks = [t for t in part if t.label == label]
        open_tasks = [t for t in todo if t.label == label]
        failing = {t.subject: why for t in open_tasks if (why := priced.why_failing(t))}
        notes = [plan.notes.get(label, ""), *(priced.left_out(t) for t in open_tasks)]
        working = [t for t in open_tasks if t.subject not in failing]
        seconds = sum(priced.seconds(t) for t in working)
        if failing and not working:
            seconds = math.nan
        rows.append(
            Estimate(
                label,
                len(open_tasks),
                len(tasks) - len(open_tasks),
                seconds,
                sum(priced.measured(t) is not None for t in working),
                failing,
                "; ".join(filter(None, notes)),
            )
        )
    return rows


@dataclass
class _Kind:
    """What is known of models of one builder.

    Attributes:
        forward: Seconds of a forward pass over all data; NaN if none could be timed.
        gradient: Seconds of a gradient over all data, if any task needs one.
        millions: Millions of parameters; 0 if none could be counted.
        forward_error: Why there is no forward pass; empty if there is one.
        gradient_error: Why there is no gradient.
        costs: By analysis and options, what a task costs on such a model.
    """

    forward: float = math.nan
    gradient: float = math.nan
    millions: float = 0.0
    forward_error: str = ""
    gradient_error: str = ""
    costs: dict[tuple[str, str], Cost] = field(default_factory=dict)


class _Prices:
    """What tasks cost and why they will fail, after every model they need was loaded once."""

    def __init__(self, todo: Sequence[Task], loader: Loader, costs: Costs, setup: Setup) -> None:
        self.loader = loader
        self.former, self.setup = costs, setup
        self.errors: dict[str, str] = {}
        self.kinds: list[tuple[object, _Kind]] = []
        self.analyses: dict[tuple[str, str], tuple[Analysis, Params]] = {}
        for task in todo:
            if (task.analysis, task.options) not in self.analyses:
                analysis = find_analysis(task.analysis, loader.setup.folder)
                self.analyses[task.analysis, task.options] = (
                    analysis,
                    analysis.validate(json.loads(task.options)),
                )
        self.sharing = {c.key for t in bundle(todo) for c in t.companions}
        for model, tasks in _by_model(todo):
            self._try(model, tasks)
        loader.forget()

    def why_failing(self, task: Task) -> str:
        """Why a task will fail; empty if nothing is known that speaks against it."""
        if task.error is not None:
            return task.error
        alone = [m for m in (*task.members, *task.given) if m not in task.gathered]
        named = next((self.errors[m.name] for m in alone if m.name in self.errors), "")
        if named:
            return named
        bad = [m for m in task.gathered if m.name in self.errors]
        if len(task.gathered) - len(bad) < min(2, len(task.gathered)):
            return self.errors[bad[0].name] if bad else ""
        kinds = [self.kind(m) for m in task.members if m not in bad]
        cost = self.cost(task)
        for kind in kinds:
            if kind.forward_error or ((cost.gradients or cost.example_gradients) and kind.gradient_error):
                return kind.forward_error or kind.gradient_error
        return ""

    def left_out(self, task: Task) -> str:
        """Which members a group goes on without, and why."""
        bad = [m.name for m in task.gathered if m.name in self.errors]
        if not bad or self.why_failing(task):
            return ""
        return " ".join(f"'{task.subject}' will be without '{name}': {self.errors[name]}" for name in bad)

    def measured(self, task: Task) -> float | None:
        """What such a task took before; ``None`` if that is not known."""
        return self.former.seconds(cost_key(task, self.setup))

    def seconds(self, task: Task) -> float:
        """What a task takes."""
        before = self.measured(task)
        if before is not None:
            return before
        # A pair is one problem, whose model takes on the weights of the other.
        members = task.members if task.scope == "group" else task.members[:1]
        examples = sum(self.loader.sizes())
        share = 1.0 if task.examples is None else min(1.0, task.examples / examples)
        cost = self.cost(task)
        forwards = cost.forwards - 1.0 if task.key in self.sharing else cost.forwards
        members = tuple(m for m in members if m.name not in self.errors)
        total = cost.seconds_per_pair * len(members) * (len(members) + 1) / 2
        for member in members:
            kind = self.kind(member)
            passes = max(0.0, forwards) * kind.forward
            passes += cost.gradients * kind.gradient if cost.gradients else 0.0
            if cost.example_gradients:
                total += cost.example_gradients * kind.gradient / examples
            total += share * passes + cost.seconds_per_million * kind.millions
        return total

    def cost(self, task: Task) -> Cost:
        """What a task costs in passes."""
        known = self.kind(task.members[0]).costs.get((task.analysis, task.options))
        return self._cost(task, None) if known is None else known

    def kind(self, model: Model) -> _Kind:
        """What is known of models like this one."""
        alike = _alike(model)
        found = next((kind for key, kind in self.kinds if key == alike), None)
        if found is None:
            found = _Kind()
            self.kinds.append((alike, found))
        return found

    def _cost(self, task: Task, problem: Problem | None) -> Cost:
        analysis, params = self.analyses[task.analysis, task.options]
        if len(inspect.signature(analysis.cost).parameters) > 1:
            return analysis.cost(params, problem)
        return analysis.cost(params)

    def _try(self, model: Model, tasks: Sequence[Task]) -> None:
        """Load a model, and learn of its kind what is not known yet."""
        kind = self.kind(model)
        if isinstance(model, PredictiveModel):
            self._try_predictive(model, kind, tasks)
            return
        try:
            problem = self.loader.first_batch_problem(model)
        except Exception as error:  # whatever a builder raises: the run would say the same of each task
            self.errors[model.name] = _sentence(error)
            return
        self._learn(kind, problem, tasks)

    def _try_predictive(self, model: PredictiveModel, kind: _Kind, tasks: Sequence[Task]) -> None:
        if model.fit is not None:
            # Fitting may take long, and to members without weights it means nothing.
            paces = [self.kind(member) for member in model.members]
            kind.forward, kind.gradient = sum(p.forward for p in paces), sum(p.gradient for p in paces)
            kind.millions = sum(p.millions for p in paces)
            return
        try:
            problem = self.loader.untrained_problem(model)
        except Exception as error:
            self.errors[model.name] = _sentence(error)
            return
        self._learn(kind, problem, tasks)

    def _learn(self, kind: _Kind, problem: Problem, tasks: Sequence[Task]) -> None:
        share = problem.examples / sum(self.loader.sizes())
        kind.millions = problem.size / 1e6
        if math.isnan(kind.forward) and not kind.forward_error:
            try:
                kind.forward = _timed(problem.loss) / share
            except Exception as error:
                kind.forward_error = _sentence(error)
                return
        for task in tasks:
            known = (task.analysis, task.options)
            if known not in kind.costs:
                try:
                    kind.costs[known] = self._cost(task, problem)
                except LandscapeError:  # the analysis itself will say so
                    kind.costs[known] = self._cost(task, None)
        found = [kind.costs[t.analysis, t.options] for t in tasks]
        wanted = any(cost.gradients or cost.example_gradients for cost in found)
        if wanted and math.isnan(kind.gradient) and not kind.gradient_error:
            try:
                kind.gradient = _timed(problem.gradient) / share
            except Exception as error:
                kind.gradient_error = _sentence(error)


def _by_model(todo: Sequence[Task]) -> list[tuple[Model, list[Task]]]:
    """The models that tasks need, checkpoints before predictives, and the tasks about each."""
    names: dict[str, Model] = {}
    tasks: dict[str, list[Task]] = {}
    for task in todo:
        if task.error is not None and not task.gathered:
            continue
        for model in _needed(task):
            names.setdefault(model.name, model)
            about = tasks.setdefault(model.name, [])
            if model in task.members:
                about.append(task)
    order = sorted(names.values(), key=lambda m: isinstance(m, PredictiveModel))
    return [(m, tasks[m.name]) for m in order]


def _needed(task: Task) -> Iterator[Model]:
    yield from task.members
    yield from task.given
    yield from task.gathered


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _sentence(error: Exception) -> str:
    return f"{one_line(error) if isinstance(error, LandscapeError) else reason(error)}."


def _alike(model: Model) -> object:
    """What models of one pace have in common."""
    members = model.members if isinstance(model, PredictiveModel) else ()
    return model.made_by, [member.made_by for member in members]
