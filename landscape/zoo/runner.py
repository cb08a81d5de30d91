"""Runner: within one process, serial or a worker, the tasks it is given: claim, compute, write, tell."""

from __future__ import annotations

import contextlib
import json
import math
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landscape.base.analysis import Context, Pair, run_together
from landscape.base.summaries import Summaries, Value, code_here, values_of
from landscape.core.data.shared_copies import shared_copies
from landscape.errors import CheckpointError, InapplicableError, LandscapeError, StoreError, one_line
from landscape.imports import importing_from
from landscape.store import Store
from landscape.store.files import Stamp, stamp_of
from landscape.store.ledger import Finished, FolderLedger
from landscape.zoo.builders import find_analysis
from landscape.zoo.code import by_other_code, ensure_loaded, mark_of, words_of
from landscape.zoo.events import Done, DoneElsewhere, Failed, Listener, Message, Progress, Started
from landscape.zoo.loader import Loader, seeded
from landscape.zoo.reading.model_file import Trainings
from landscape.zoo.subjects import progress_of
from landscape.zoo.task import Setup, Task

if TYPE_CHECKING:
    import xarray as xr
    from torch import Tensor, nn

    from landscape.base.analysis import Analysis, Params
    from landscape.core.problem.problem import Problem
    from landscape.zoo.spec import Model

__all__ = ["Runner"]

_PROGRESS_EVERY_S = 0.2
_PATIENCE_S = 5.0  # of waiting for a claim without a word


_UNREAD = 50  # names kept in a result


class Runner:
    """Turns a task into a file in the store.

    Results do not depend on what was done before: see `Loader`; the global random generators are seeded
    anew for each analysis too.

    Args:
        loader: Gives data and problems.

    Attributes:
        loader: As given.
        store: Where results go.
    """

    def __init__(self, loader: Loader) -> None:
        self.loader = loader
        planned = loader.setup.fingerprint is not None
        self.store = Store(loader.setup.store, made=planned)  # a planned run has made it: never make it anew
        self._analyses: dict[tuple[str, str], tuple[Analysis, Params]] = {}
        self._told_mismatches: set[str] = set()
        self._waiting: dict[str, float] = {}
        self._shared: dict[str, xr.Dataset | Exception] = {}

    @property
    def setup(self) -> Setup:
        """What all tasks share."""
        return self.loader.setup

    @setup.setter
    def setup(self, setup: Setup) -> None:
        self.loader.setup = setup

    def carry_out(self, task: Task, emit: Listener, *, join: bool = False) -> bool:
        """Do one task; its result is on disk when ``Done`` is emitted. No error leaves this.

        Args:
            task: What to do.
            emit: Takes the events.
            join: Whether to help another run that is at it, if its work comes in pieces that can be shared.

        Returns:
            Whether the task has ended; ``False`` if another run is at it.
        """
        if task.error is not None:
            emit(Started(task))
            emit(Failed(task, task.error, "checkpoint"))
            return True
        try:
            with self.store.claim(task.folder, task.key) as ours:
                # Asked only now that the task is ours: it may have been done between plan and claim.
                if self._is_done(task):
                    emit(DoneElsewhere(task))
                elif ours or (join and self._partial(task).is_dir()):
                    self._do(task, emit)
                else:
                    self._tell_waiting(task, emit)
                    return False
        except StoreError as error:
            emit(Failed(task, _sentence(error), "store"))
        return True

    def _do(self, task: Task, emit: Listener) -> None:
        """Do a task that is ours, or help with it."""
        if not self.setup.overwrite:  # another run may have done some of them
            open_ones = tuple(t for t in task.companions if not self._has(t))
            task = replace(task, companions=open_ones)
        emit(Started(task))
        start = last = time.perf_counter()

        def progress(fraction: float) -> None:
            nonlocal last
            if time.perf_counter() - last > _PROGRESS_EVERY_S:
                last = time.perf_counter()
                emit(Progress(task, float(fraction)))

        try:
            result = self.compute(task, progress, self._partial(task))
            self._tell_mismatches(task, emit)
            # Runs that helped one another all have the whole result; the first to arrive writes it.
            if self._is_done(task):
                raise Finished
            self._tell_left_out(task, result, emit)
            written = self.store.write(result, task.key, mark_of(task.code))
        except Finished:
            emit(DoneElsewhere(task))
        except (Exception, SystemExit) as error:  # a builder may call sys.exit; Ctrl-C must still end the run
            self.loader.forget()
            trace = traceback.format_exc()
            emit(Failed(task, _sentence(error), _kind(error), trace))
        else:
            seconds = time.perf_counter() - start
            metrics, stamp = self._summed_up(task, result, written)
            emit(Done(task, seconds, metrics, *stamp, code_here()))

    def _summed_up(
        self, task: Task, result: xr.Dataset, written: Path
    ) -> tuple[dict[str, Value] | None, Stamp]:
        """What sums up a result while it is at hand, and the stamp of its file."""
        analysis, _ = self._analysis(task)
        with contextlib.suppress(Exception):  # whoever asks for the summary later is told
            if analysis.scope == "checkpoint" and Summaries.keeps(analysis):
                return values_of(analysis.summary(result)), stamp_of(written)
        return None, (0, 0, 0)

    def compute(
        self,
        task: Task,
        progress: Callable[[float], None],
        partial: Path | None = None,
        *,
        whole: bool = False,
    ) -> xr.Dataset:
        """The result of a task, with the model's name, group and tags among its attributes.

        A member of a group or predictive that cannot be used is left out: the attribute ``left_out`` says
        which and why (a JSON mapping), and ``members_asked`` how many there are.

        Args:
            task: What to compute.
            progress: Called with the finished fraction.
            partial: Where a long computation may keep partial results.
            whole: Whether a group without one of its members is an error.

        Raises:
            LandscapeError: If the task's builder, checkpoint, data or options cannot be used, fewer than
                two members of a group or predictive are left, or its code changed since it was planned.
        """
        ensure_loaded(task.code, self.setup.folder)
        left_out: dict[str, str] = {}
        if task.companions:
            self._share(task, progress)
        result = self._shared.pop(task.key, None)
        if isinstance(result, Exception):
            raise result
        if result is None:
            analysis, params = self._analysis(task)
            context = Context(progress, groups={m.name: m.group for m in task.members})
            with importing_from(self.setup.folder), seeded(), shared_copies():
                subject = self._group(task, left_out, whole) if task.scope == "group" else self._subject(task)
                left_out |= self.loader.left_out.get(task.members[0].name, {})
                if partial is not None:  # named by the task's key, which says all that decides its numbers,
                    # but for the members that are left out
                    left = [m.name for m in task.gathered if m.name not in left_out]
                    members = {"members": left} if left_out else None
                    done = self.store.path(task.folder, task.key)
                    context = replace(context, open_ledger=lambda: FolderLedger(partial, members, done))
                if task.input:
                    context = replace(context, inputs={task.input: self._input(task)})
                result = analysis.run(subject, params, context)
        left_out |= self.loader.left_out.get(task.members[0].name, {})
        attrs = _identity(task)
        if self.setup.split is not None:
            attrs["data_split"] = self.setup.split
        attrs |= self.loader.about_data(task.members[0])
        mismatch = self.loader.metric_mismatches.get(task.members[0].name)
        if mismatch:
            attrs["recorded_metrics"] = mismatch
        loaded = (*task.members, *task.gathered, *task.given)
        unmet = {m.name: self.loader.not_compared.get(m.name, "") for m in loaded}
        if any(unmet.values()):
            attrs["not_compared"] = json.dumps({name: text for name, text in unmet.items() if text})
        fits = {m.name: self.loader.loaded[m.name] for m in loaded if m.name in self.loader.loaded}
        for attr, what in (("weights", "chosen"), ("made_plain", "made_plain"), ("load_notes", "note")):
            said = {name: getattr(fit, what) for name, fit in fits.items()}
            if any(said.values()):
                attrs[attr] = json.dumps({name: text for name, text in said.items() if text})
        unread = {name for m in loaded for name in self.loader.unread.get(m.name, ())}
        if unread:
            attrs["unread"] = json.dumps(sorted(unread)[:_UNREAD])
        if left_out:
            attrs |= {"members_asked": len(task.gathered), "left_out": json.dumps(left_out)}
        return result.assign_attrs(attrs)

    def _is_done(self, task: Task) -> bool:
        """Whether there is a result to keep: not if a member that it leaves out can be used by now."""
        if self.setup.overwrite or not self._has(task):
            return False
        if not task.gathered:
            return True
        left_out = self.store.left_out(task.folder, task.key)
        return not any(m.name in left_out and self._is_usable(m) for m in task.gathered)

    def _has(self, task: Task) -> bool:
        """Whether there is a result, of today's code if others are to be done again."""
        if not self.store.has(task.folder, task.key):
            return False
        return self.setup.changed != "redo" or not by_other_code(self.store, task)

    def _partial(self, task: Task) -> Path:
        """Where the pieces of a task are, apart from those of other code."""
        return self.store.partial(task.folder, task.key, mark_of(task.code))

    def _is_usable(self, model: Model) -> bool:
        if model.error is not None:
            return False
        try:
            with importing_from(self.setup.folder), seeded():
                self.loader.passing_problem(model)
        except LandscapeError:
            return False
        return True

    def _tell_waiting(self, task: Task, emit: Listener) -> None:
        """Say for whom a run waits, if it does so for long."""
        since = self._waiting.setdefault(task.key, time.monotonic())
        if time.monotonic() - since > _PATIENCE_S:
            self._waiting[task.key] = math.inf
            who, claim = self.store.claimant(task.folder, task.key)
            emit(Message(f"waiting for {task.label} of {task.subject}, which {who} claims ('{claim}')."))

    def _tell_left_out(self, task: Task, result: xr.Dataset, emit: Listener) -> None:
        """Say which members of a group or predictive a result is without."""
        for name, reason in json.loads(result.attrs.get("left_out", "{}")).items():
            emit(Message(f"{task.label}: '{name}' is left out of '{task.subject}': {reason}"))

    def _tell_mismatches(self, task: Task, emit: Listener) -> None:
        """Say once of each model that its recorded metrics do not fit; and what was not compared, once."""
        name = task.members[0].name
        mismatch = self.loader.metric_mismatches.get(name)
        if mismatch and name not in self._told_mismatches:
            self._told_mismatches.add(name)
            emit(Message(f"{name}: {mismatch}"))
        left = self.loader.not_compared.get(name)
        if left and left not in self._told_mismatches:  # of many models alike, once
            self._told_mismatches.add(left)
            emit(Message(f"{left}."))

    def _analysis(self, task: Task) -> tuple[Analysis, Params]:
        """Analysis and options of a task; many tasks have the same."""
        found = self._analyses.get((task.analysis, task.options))
        if found is None:
            analysis = find_analysis(task.analysis, self.setup.folder)
            found = analysis, analysis.validate(json.loads(task.options))
            self._analyses[task.analysis, task.options] = found
        return found

    def _share(self, task: Task, progress: Callable[[float], None]) -> None:
        """Carry out a task and its companions in one pass over the data.

        The companions' results wait in memory until their own turn: each is still claimed, written and
        told of as a task of its own, so that a run that is killed meanwhile resumes task by task. A worker
        that meets a companion without its result at hand computes it alone, to the same bits.
        """
        self._shared = {}
        tasks = (task, *task.companions)
        with importing_from(self.setup.folder), seeded():
            analyses = [self._analysis(t) for t in tasks]
            results = run_together(self._subject(task), analyses, Context(progress))
        self._shared = {t.key: result for t, result in zip(tasks, results, strict=True)}

    def _subject(self, task: Task) -> Any:
        """What the analysis of a model or pair is called with."""
        problem = _sampled(self.loader.problem(task.members[0]), task)
        if task.scope == "checkpoint":
            return problem
        a, b = (_state(self.loader.module(m)) for m in task.members)
        return Pair(problem, a, b)

    def _input(self, task: Task) -> Any:
        """The weights of given checkpoints, or what the files of a group hold of its training."""
        if task.given:
            return [_state(self.loader.module(m)) for m in task.given]
        return Trainings(task.members, self.setup, progress_of(task.members))

    def _group(self, task: Task, left_out: dict[str, str], whole: bool) -> dict[str, Problem]:
        """The members of a group that can be used; the others and why go to ``left_out``."""
        self.loader.data(task.members[0])  # an error of the data is no member's
        problems: dict[str, Problem] = {}
        first: LandscapeError | None = None
        for model in task.members:
            try:
                if model.error is not None:
                    raise CheckpointError(model.error)
                problems[model.name] = _sampled(self.loader.passing_problem(model), task)
            except LandscapeError as error:
                first = first or error
                left_out[model.name] = _sentence(error)
        if first is not None and (whole or not problems):
            raise first
        if left_out and len(problems) < 2:
            reasons = " ".join(f"'{name}': {reason}" for name, reason in left_out.items())
            raise CheckpointError(
                f"of the {len(task.members)} members of '{task.subject}' only '{next(iter(problems))}' can be"
                f" used, and a comparison takes two; {reasons}"
            )
        return problems


def _sampled(problem: Problem, task: Task) -> Problem:
    """The problem on as many examples as the task uses."""
    return problem if task.examples is None else problem.on_sample(task.examples)


def _state(model: nn.Module) -> dict[str, Tensor]:
    return {k: v.detach().clone() for k, v in model.state_dict().items()}


def _identity(task: Task) -> dict[str, Any]:
    """The attributes that say which model of which zoo a result is about."""
    first = task.members[0]
    attrs: dict[str, Any] = {
        "label": task.label,
        "model": task.subject,
        "key": task.key,
        "group": first.group,
    }
    if task.given:
        attrs["given"] = json.dumps([task.input, *(m.name for m in task.given)])
    if task.code:
        attrs["code"] = words_of(task.code)
    if task.scope == "group":
        attrs["member_tags"] = json.dumps({m.name: dict(m.tags) for m in task.members}, default=str)
    if task.scope == "checkpoint":
        attrs["tags"] = json.dumps(dict(first.tags), default=str)
        if first.seed is not None:
            attrs["model_seed"] = first.seed
        if first.run:
            attrs["run"] = first.run
        if task.gathered:
            attrs["members"] = json.dumps({m.name: m.sha256 for m in task.gathered})
    return attrs


def _kind(error: BaseException) -> str:
    kinds: tuple[tuple[type[LandscapeError], str], ...]
    kinds = (
        (InapplicableError, "inapplicable"),
        (CheckpointError, "checkpoint"),
        (StoreError, "store"),
        (LandscapeError, "input"),
    )
    return next((kind for cls, kind in kinds if isinstance(error, cls)), "error")


def _sentence(error: BaseException) -> str:
    """One sentence; for an error that we did not foresee, with the place in the code."""
    if isinstance(error, LandscapeError):
        return f"{one_line(error)}."
    frames = traceback.extract_tb(error.__traceback__)
    where = f" (at {Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {one_line(error)}{where}."
