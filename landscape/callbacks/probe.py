"""Probe: cheap analyses of a model while it is trained, and nothing of the training changed."""

from __future__ import annotations

import contextlib
import sys
import time
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from landscape.base.registry import find
from landscape.callbacks.live import Chosen, LiveLoader, tasks_of
from landscape.callbacks.moments import check_sections, remember
from landscape.callbacks.subset import read_subset
from landscape.errors import InputError, StoreError, one_line
from landscape.store import Failure, Store, consolidate
from landscape.trainings import PROGRESS
from landscape.zoo.events import Event, Failed
from landscape.zoo.loader import seeded
from landscape.zoo.runner import Runner
from landscape.zoo.spec import Model, check_name
from landscape.zoo.task import Task, bundle

__all__ = ["CHEAP", "Probe"]

CHEAP: dict[str, dict[str, Any]] = {
    "spectrum": {"k": 1, "tol": 0.01, "search": False},
    "trace": {"rel_se": 0.1},
}
"""What is measured by default, with some hundred gradients: the largest Hessian eigenvalue and the trace."""

_EXAMPLES, _BATCH = 128, 256


class Probe:
    """Measures a model during its training: call it once per epoch or step.

    It works on a copy of the model and on examples that it has read before: parameters, gradients, buffers,
    modes, random numbers (Python's, NumPy's, torch's) and hooks of the training stay as they are, to the bit.
    What fails is remembered in the store and warned of, once, and the training goes on. Of several processes
    that train one model the first measures.

    Args:
        store: Folder of the results; several trainings may share it. `landscape.report` draws it.
        loss: What `landscape.Problem` takes.
        data: What `landscape.Problem` takes. Read now, ``examples`` of it.
        every: Measure at each epoch or step that this divides.
        analyses: Names of analyses of one model, or a mapping from them to options; by default the largest
            eigenvalue of the Hessian and its trace. With ``{"top": {"analysis": "spectrum", "k": 1}}`` a name
            may be another than the analysis'.
        examples: How many examples; the first of a fixed random order.
        name: Of the training, within the store.
        group: Trainings to be compared, such as those of one optimiser; by default the name.
        seed: Training seed, if known.
        tags: Labels of the training.
        **problem: Further keyword arguments of `landscape.Problem`, such as ``forward`` or ``weight_decay``.

    Attributes:
        points: How many moments were measured.
        seconds: What that took so far.
        failures: By ``(moment, analysis)``, what failed, a sentence each.

    Raises:
        InputError: If data or options cannot be used.
        StoreError: If the store cannot be written to.

    Example:
        >>> probe = Probe("runs/probe", "cross_entropy", data, every=5)    # doctest: +SKIP
        >>> for epoch in range(100):                                       # doctest: +SKIP
        ...     train_one_epoch(model)
        ...     probe(model, epoch=epoch + 1)
        >>> print(probe)                                                   # doctest: +SKIP
        probe 'training': 20 moments in 9.6 s, 3.1 % of the time since the first
    """

    def __init__(
        self,
        store: str | Path,
        loss: Any,
        data: Any,
        *,
        every: int = 1,
        analyses: Iterable[str] | Mapping[str, Mapping[str, Any]] | None = None,
        examples: int = _EXAMPLES,
        name: str = "training",
        group: str = "",
        seed: int | None = None,
        tags: Mapping[str, Any] | None = None,
        **problem: Any,
    ) -> None:
        for what, value in (("every", every), ("examples", examples)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise InputError(f"{what} must be a whole number from 1; got {value!r}.")
        taken = [unit for unit in PROGRESS if unit in (tags or {})]
        if taken:
            raise InputError(f"the tag '{taken[0]}' is the probe's own; leave it out of tags.")
        self.every, self.name = every, check_name("training", name)
        self.group, self.seed, self.tags = group or name, seed, dict(tags or {})
        self.points, self.seconds = 0, 0.0
        self.failures: dict[tuple[str, str], str] = {}
        self._sections = _chosen(CHEAP if analyses is None else analyses)
        self._store = Store(store)
        self._told: set[str] = set()
        self._began: float | None = None
        self._moments: dict[str, str] = {}
        if _is_first():
            self._store.lock()  # to know before the training that it can be written to
            check_sections(self._store, self._sections)
            batches = read_subset(data, examples, int(problem.get("batch_size", _BATCH)))
            self._loader = LiveLoader(self._store, loss, batches, problem)

    def __call__(
        self,
        model: Any,
        *,
        epoch: int | None = None,
        step: int | None = None,
        metrics: Mapping[str, float] | None = None,
    ) -> bool:
        """Measure the model as it is now, if it is time.

        Args:
            model: The module that is trained, within ``torch.compile`` or data parallelism too.
            epoch: How many epochs it has seen.
            step: How many steps, in place of epochs.
            metrics: Numbers of the training to remember beside the results, such as ``val_accuracy``.

        Returns:
            Whether it was measured.

        Raises:
            InputError: Unless just one of ``epoch`` and ``step`` is given.
        """
        if (epoch is None) == (step is None):
            raise InputError("a probe is called with epoch=, or with step=.")
        unit, at = ("epoch", epoch) if step is None else ("step", step)
        if at is None or at % self.every or not _is_first():
            return False
        self.measure(model, unit, at, metrics)
        return True

    def measure(self, model: Any, unit: str, at: int, metrics: Mapping[str, float] | None = None) -> None:
        """Measure the model as it is now, whether it is time or not; see `__call__`."""
        start = time.perf_counter()
        self._began = start if self._began is None else self._began
        moment = Model(
            f"{self.name}-{unit}-{at}",
            Path(),
            group=self.group,
            seed=self.seed,
            tags={**self.tags, unit: at},
            metrics={k: float(v) for k, v in (metrics or {}).items()},
            run=self.name,
        )
        try:
            with seeded():
                self._measure(moment, model)
        except Exception as error:  # whatever it is, a training of days must not end with it
            self._fail(moment.name, "*", f"{type(error).__name__}: {one_line(error)}.")
        finally:
            self._loader.show(None)
            self.points += 1
            self.seconds += time.perf_counter() - start

    def _measure(self, moment: Model, model: Any) -> None:
        self._loader.show(model)
        tasks = tasks_of(moment, model, self._loader, self._sections)
        self._moments[moment.name] = moment.run
        remember(self._store, moment.record(), tasks, self._sections, self._moments, self._listen)
        runner = Runner(self._loader)
        for task in bundle(tasks):
            runner.carry_out(task, self._listen)

    def _listen(self, event: Event) -> None:
        if isinstance(event, Failed):
            self._remember(event.task, event)

    def _remember(self, task: Task, event: Failed) -> None:
        self._fail(task.subject, task.label, event.error)
        with contextlib.suppress(StoreError):  # a full disk must not stop a training
            self._store.fail(
                Failure(task.label, task.folder, task.subject, task.key, event.error, event.kind)
            )

    def _fail(self, moment: str, label: str, error: str) -> None:
        self.failures[moment, label] = error
        if error not in self._told:  # of one cause, once
            self._told.add(error)
            what = f"'{label}' at {moment}" if label != "*" else moment
            with contextlib.suppress(Warning):  # where warnings are errors, this one is none
                warnings.warn(f"landscape could not measure {what}, training goes on: {error}", stacklevel=5)

    @property
    def share(self) -> float:
        """Which part of the time since the first measurement began was spent on measuring; NaN before."""
        if self._began is None:
            return float("nan")
        return self.seconds / max(time.perf_counter() - self._began, sys.float_info.min)

    def close(self) -> None:
        """Put all results into one file, ``zoo.h5``, for other programs; the report needs no such thing."""
        if self.points and _is_first():
            try:
                consolidate(self._store)
            except StoreError as error:
                self._fail(self.name, "*", str(error))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __str__(self) -> str:
        count = f"{self.points} moment{'s' * (self.points != 1)}"
        told = f"probe '{self.name}': {count} in {self.seconds:.2g} s"
        if self.points:
            told += f", {100 * self.share:.2g} % of the time since the first"
        return told + (f"; {len(self.failures)} failed" if self.failures else "")

    def __repr__(self) -> str:
        return f"<{self}>"


def _chosen(analyses: Iterable[str] | Mapping[str, Mapping[str, Any]]) -> dict[str, Chosen]:
    """The analyses with checked options, by label.

    Raises:
        InputError: If one is unknown, or looks at more than a model.
    """
    if isinstance(analyses, str):
        analyses = [analyses]
    wanted = analyses if isinstance(analyses, Mapping) else {name: {} for name in analyses}
    if not wanted:
        raise InputError("a probe needs an analysis; leave analyses out for the usual ones.")
    found = {}
    for label, given in wanted.items():
        options = dict(given)
        reference = str(options.pop("analysis", label))
        analysis = find(reference)
        params = analysis.validate(options)
        if analysis.scope != "checkpoint" or analysis.from_zoo(params) is not None:
            raise InputError(
                f"'{label}' looks at several models, and a probe has the one that is trained: save"
                " checkpoints and give them to landscape.scan."
            )
        found[check_name("section", label)] = Chosen(reference, analysis, params)
    return found


def _is_first() -> bool:
    """Whether this is the only process of the training, or the first of several."""
    from torch import distributed

    return not (distributed.is_available() and distributed.is_initialized() and distributed.get_rank() > 0)
