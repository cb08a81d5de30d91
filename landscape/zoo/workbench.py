"""Workbench: what one process needs to carry out tasks one after the other."""

from __future__ import annotations

import json
import random
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from landscape.base.analysis import Context, Pair, run_together
from landscape.core.problem.batchnorm_policy import ProblemPolicy
from landscape.errors import CheckpointError, InputError, LandscapeError, StoreError, one_line
from landscape.imports import importing_from
from landscape.store import Store
from landscape.store.ledger import Finished
from landscape.zoo.builders import build_data, build_model, find_analysis, resolve
from landscape.zoo.checkpoint import load_into, read_checkpoint
from landscape.zoo.events import Done, Failed, Found, Listener, Notice, Progress, Started
from landscape.zoo.layouts.run_metadata import facts_in_content
from landscape.zoo.recorded_metrics import comparable, differences
from landscape.zoo.spec import Builder
from landscape.zoo.task import Member, Setup, Task

if TYPE_CHECKING:
    import xarray as xr
    from torch import Tensor, nn

    from landscape.base.analysis import Analysis, Params
    from landscape.core.problem.problem import Problem
    from landscape.core.problem.sharding import Ranks

__all__ = ["Workbench", "file_stamp"]

_PROGRESS_EVERY_S = 0.2


class Workbench:
    """Builds the data once, keeps the last problem, and turns a task into a file in the store.

    Results do not depend on what was done before: problems are never changed by an analysis, and the
    global random generators are seeded anew for data, model and analysis, and restored afterwards.

    Args:
        setup: What all tasks share.
        ranks: The processes that share the data of each problem, if there are several.
    """

    def __init__(self, setup: Setup, ranks: Ranks | None = None) -> None:
        self.setup = setup
        self._ranks = ranks
        self.store = Store(setup.store, made=setup.fingerprint is not None)  # a planned run has made it
        self._data: tuple[list[Any], str] | None = None
        self._sizes: list[int] = []
        self._last: tuple[Member, Problem] | None = None
        self._known: dict[tuple[str, str], tuple[Analysis, Params]] = {}
        self._doubts: dict[str, str] = {}
        self._told: set[str] = set()
        self._shared: dict[str, xr.Dataset | Exception] = {}

    def data(self) -> tuple[list[Any], str]:
        """The batches of the zoo's data, and their content hash.

        Raises:
            InputError: If the builder fails, or its data differ from what the plan was made for.
        """
        if self._data is None:
            import torch

            from landscape.core.problem.batches import read_batches, tensors_in
            from landscape.core.problem.fingerprint import fingerprint

            settings = self.setup.settings
            with importing_from(self.setup.folder), _seeded():
                given = build_data(self.setup.data, self.setup.folder)
                batches = read_batches(
                    given,
                    batch_size=settings.batch_size,
                    device=torch.device("cpu" if self._ranks else settings.device or "cpu"),
                    dtype=None,
                )
            raw = [b.raw for b in batches]
            found = fingerprint(item for i, b in enumerate(raw) for item in tensors_in(b, str(i)))
            self._data = raw, found
            self._sizes = [b.size for b in batches]
        expected = self.setup.fingerprint
        if expected is not None and self._data[1] != expected:
            raise InputError(
                f"data builder '{self.setup.data.reference}' is not deterministic: it made other data"
                " here than when the run was planned; seed it."
            )
        return self._data

    def problem(self, member: Member) -> Problem:
        """The problem of a model; the last one is kept.

        Raises:
            LandscapeError: If builder, checkpoint, data or loss cannot be used.
        """
        if self._last is not None and self._last[0] == member:
            return self._last[1]
        self._last = None
        model, carried = self._load(member)
        problem = self._make_problem(model)
        split, metrics = self.setup.settings.split, {**carried, **member.metrics}
        if split is not None and comparable(metrics, split):
            self._doubts[member.name] = " ".join(differences(metrics, split, problem.measure()))
        self._last = member, problem
        return problem

    def load(self, member: Member) -> nn.Module:
        """A model with its checkpoint loaded.

        Raises:
            LandscapeError: If its builder or its checkpoint cannot be used.
        """
        return self._load(member)[0]

    def _load(self, member: Member) -> tuple[nn.Module, Mapping[str, float]]:
        """A model, and the metrics that its checkpoint carries."""
        if file_stamp(member.path) != member.stamp:
            raise CheckpointError(f"checkpoint '{member.path}' changed after the run was planned; run again.")
        with importing_from(self.setup.folder), _seeded():
            model = build_model(member.builder, self.setup.folder)
        settings = self.setup.settings
        state, rest = read_checkpoint(member.path, allow=settings.allow, trust_pickle=self.setup.trust_pickle)
        load_into(model, state, str(member.path), settings.prefix)
        return model, facts_in_content(rest).metrics

    def sample(self, builder: Builder) -> Problem:
        """The problem of a model without its weights on the first batch alone, to take the time of."""
        with importing_from(self.setup.folder), _seeded():
            model = build_model(builder, self.setup.folder)
        return self._make_problem(model, self.data()[0][:1])

    def sizes(self) -> list[int]:
        """Examples in each batch of the data."""
        self.data()
        return self._sizes

    def carry_out(self, task: Task, emit: Listener, *, join: bool = False) -> bool:
        """Do one task; its result is on disk when ``Done`` is emitted. No error leaves this.

        Args:
            task: What to do.
            emit: Takes the events.
            join: Whether to help another run that is at it, if its work comes in pieces that can be shared.

        Returns:
            Whether it is settled; ``False`` if another run is at it.
        """
        if task.error is not None:
            emit(Started(task))
            emit(Failed(task, task.error, "checkpoint"))
            return True
        try:
            with self.store.claim(task.folder, task.key) as ours:
                done = self.store.has(task.folder, task.key) and not self.setup.overwrite
                if done:
                    emit(Found(task))
                elif ours or (join and self.store.partial(task.folder, task.key).is_dir()):
                    self._settle(task, emit)
                else:
                    return False
        except StoreError as error:
            emit(Failed(task, _sentence(error), "store"))
        return True

    def _settle(self, task: Task, emit: Listener) -> None:
        """Do a task that is ours, or help with it."""
        if not self.setup.overwrite:  # another run may have done some of them
            open_ones = tuple(t for t in task.companions if not self.store.has(t.folder, t.key))
            task = replace(task, companions=open_ones)
        emit(Started(task))
        start = last = time.perf_counter()

        def progress(fraction: float) -> None:
            nonlocal last
            if time.perf_counter() - last > _PROGRESS_EVERY_S:
                last = time.perf_counter()
                emit(Progress(task, float(fraction)))

        try:
            result = self.compute(task, progress, self.store.partial(task.folder, task.key))
            self._tell_doubts(task, emit)
            if self.store.has(task.folder, task.key) and not self.setup.overwrite:
                raise Finished  # by a run that shared the work
            self.store.write(result, task.key)
        except Finished:
            emit(Found(task))
        except (Exception, SystemExit) as error:
            self._last = None
            trace = traceback.format_exc()
            emit(Failed(task, _sentence(error), _kind(error), trace))
        else:
            emit(Done(task, time.perf_counter() - start))

    def compute(
        self, task: Task, progress: Callable[[float], None], partial: Path | None = None
    ) -> xr.Dataset:
        """The result of a task, with the model's name, group and tags among its attributes.

        Args:
            task: What to compute.
            progress: Called with the finished fraction.
            partial: Where a long computation may keep partial results.

        Raises:
            LandscapeError: If the task's builder, checkpoint, data or options cannot be used.
        """
        if task.companions:
            self._share(task, progress)
        found = self._shared.pop(task.key, None)
        if isinstance(found, Exception):
            raise found
        if found is None:
            analysis, params = self._asked(task)
            context = Context(progress, partial)
            with importing_from(self.setup.folder), _seeded():
                found = analysis.run(self._subject(task), params, context)
        doubt = self._doubts.get(task.members[0].name)
        return found.assign_attrs(_identity(task) | ({"recorded_metrics": doubt} if doubt else {}))

    def _tell_doubts(self, task: Task, emit: Listener) -> None:
        """Say once of each model that its recorded metrics do not fit."""
        name = task.members[0].name
        if self._doubts.get(name) and name not in self._told:
            self._told.add(name)
            emit(Notice(f"{name}: {self._doubts[name]}"))

    def _asked(self, task: Task) -> tuple[Analysis, Params]:
        """Analysis and options of a task."""
        asked = self._known.get((task.analysis, task.options))
        if asked is None:
            analysis = find_analysis(task.analysis, self.setup.folder)
            asked = analysis, analysis.validate(json.loads(task.options))
            self._known[task.analysis, task.options] = asked
        return asked

    def _share(self, task: Task, progress: Callable[[float], None]) -> None:
        """Carry out a task and its companions in one pass; the results wait for their turn."""
        self._shared = {}
        tasks = (task, *task.companions)
        with importing_from(self.setup.folder), _seeded():
            asked = [self._asked(t) for t in tasks]
            results = run_together(self._subject(task), asked, Context(progress))
        self._shared = {t.key: result for t, result in zip(tasks, results, strict=True)}

    def _subject(self, task: Task) -> Any:
        if task.scope == "group":
            return {m.name: _cut(self._make_problem(self.load(m)), task) for m in task.members}
        problem = _cut(self.problem(task.members[0]), task)
        if task.scope == "checkpoint":
            return problem
        a, b = (_state(self.load(m)) for m in task.members)
        return Pair(problem, a, b)

    def _make_problem(self, model: nn.Module, batches: list[Any] | None = None) -> Problem:
        from landscape.core.problem.problem import Problem

        settings = self.setup.settings
        loss: Any = settings.loss
        if ":" in loss:
            loss = resolve(loss, self.setup.folder, "loss")
        forward = settings.forward and resolve(settings.forward, self.setup.folder, "forward")
        return Problem(
            model,
            loss,
            self.data()[0] if batches is None else batches,
            weight_decay=settings.weight_decay,
            parameters=settings.parameters,
            forward=forward or None,
            device=self._ranks.device(settings.device) if self._ranks else settings.device,
            batchnorm=cast(ProblemPolicy, settings.batchnorm),
            batch_size=settings.batch_size,
            sharding=self._ranks,
        )


def _cut(problem: Problem, task: Task) -> Problem:
    """The problem on as many examples as the task uses."""
    return problem if task.examples is None else problem.on_sample(task.examples)


def file_stamp(path: Path) -> tuple[int, int]:
    """Size and time of change of a file; zeros if it is missing."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


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
    if task.scope == "checkpoint":
        attrs["tags"] = first.tags
        if first.seed is not None:
            attrs["model_seed"] = first.seed
    return attrs


def _kind(error: BaseException) -> str:
    kinds = ((CheckpointError, "checkpoint"), (StoreError, "store"), (LandscapeError, "input"))
    return next((kind for cls, kind in kinds if isinstance(error, cls)), "error")


def _sentence(error: BaseException) -> str:
    """One sentence; for an error that we did not foresee, with the place in the code."""
    if isinstance(error, LandscapeError):
        return f"{one_line(error)}."
    frames = traceback.extract_tb(error.__traceback__)
    where = f" (at {Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {one_line(error)}{where}."


@contextmanager
def _seeded() -> Iterator[None]:
    """Within it, the global random generators start from 0; afterwards they are as before."""
    import torch

    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - users' code uses it
    with torch.random.fork_rng(devices=_devices()):
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002
        torch.manual_seed(0)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002


def _devices() -> list[int]:
    import torch

    used = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return list(range(torch.cuda.device_count())) if used else []
