"""One run of a plan: store prepared before it, outcomes counted meanwhile, results consolidated after it."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from landscape.base.summaries import Summaries, code_here
from landscape.errors import StoreError
from landscape.store import Failure, Snapshot, Store, consolidate
from landscape.store.digest import intact
from landscape.store.locks import Busy, holder
from landscape.store.verify import fault, set_aside
from landscape.zoo.code import REDO, changed_code, words_of
from landscape.zoo.costs import Costs, cost_key
from landscape.zoo.events import Done, DoneElsewhere, Event, Failed, Listener, Message, Planned
from landscape.zoo.executors.base import Executor
from landscape.zoo.plan import Plan, Shard
from landscape.zoo.task import Setup, Task, bundle

__all__ = ["RunResult", "holding", "of_older_code", "run_plan"]

_PATIENCE_S = 2.0  # of waiting for the lock without a word: mostly it is held for less


@dataclass(frozen=True)
class RunResult:
    """How a run ended.

    Attributes:
        done: Tasks done in this run.
        skipped: Tasks done before, or meanwhile by another run.
        failed: Tasks that failed, in the manifest's order, each with one sentence; they are tried again in
            the next run.
        store: Where the results are.
        inapplicable: Tasks whose analysis has nothing to look at in their model, each with one sentence.
        zoo: Tells this zoo from others of the store: what `landscape.store.read_contents` takes.
        older: Results that were kept, of other code than the manifest's is now, as ``label of subject``.
    """

    done: int
    skipped: int
    failed: tuple[Failure, ...]
    store: Path
    inapplicable: tuple[Failure, ...] = ()
    older: tuple[str, ...] = ()
    zoo: str | None = None

    def and_then(self, other: RunResult) -> RunResult:
        """How two runs of one zoo, one after the other, ended."""
        return replace(
            other,
            done=self.done + other.done,
            skipped=self.skipped + other.skipped,
            failed=self.failed + other.failed,
            inapplicable=self.inapplicable + other.inapplicable,
            older=self.older + other.older,
        )


def run_plan(plan: Plan, home: Store, executor: Executor, shard: Shard | None, emit: Listener) -> RunResult:
    """Carry out what of a plan is not done yet.

    Args:
        plan: The plan.
        home: Where results go.
        executor: Carries out the tasks.
        shard: The part to do; ``None`` for the whole.
        emit: Takes the events.

    Raises:
        StoreError: If the store cannot be written to.
    """
    # What all runs share is written under one lock, and only where it changes; results need none, since each
    # task has its own file and its own claim.
    outcomes = _Outcomes(home, emit, plan.setup)
    with holding(home, outcomes.listen):
        home.sweep()
        former = home.read_snapshot()
        if former is None and (home.directory / "zoo.json").exists():
            emit(Message(f"'{home.directory / 'zoo.json'}' is damaged; it is written anew."))
        snapshot = plan.snapshot.beside(former)
        if former != snapshot:
            home.write_snapshot(snapshot)
        if home.read_hashes() != plan.hashes:
            home.write_hashes(plan.hashes)
        _forget_former_failures(plan, snapshot, home)
    tasks = plan.part(shard)
    current = set() if plan.setup.overwrite else _set_damaged_aside(tasks, home, emit)
    redo = plan.setup.changed == REDO
    older = [] if plan.setup.overwrite else of_older_code(plan, home, shard, redo, emit, current)
    todo = plan.todo(home, plan.setup.overwrite, shard, [task for task, _ in older] if redo else ())
    emit(Planned(len(todo), len(tasks) - len(todo)))
    for label, why in plan.notes.items():
        if label in plan.chosen:
            outcomes.tell(f"[analyses.{label}] has nothing to compare: {why}.")
    try:
        executor.run(plan.setup, bundle(todo), outcomes.listen)
    finally:
        home.sweep()  # of workers that were killed
    # The consolidated file is made of all results, so that of several shards the last to end makes it.
    outcomes.keep()
    changed = outcomes.done > 0 or former != snapshot or not _is_whole(home.consolidated)
    if changed and (shard is None or _all_ended(plan, home)):
        try:
            with holding(home, outcomes.listen):
                consolidate(home, outcomes.tell)
        except StoreError as error:  # it is disposable: every result is in its own file
            outcomes.tell(str(error))
    skipped = len(tasks) - len(todo) + outcomes.elsewhere
    place = {(task.label, task.subject): index for index, task in enumerate(tasks)}
    ended = sorted(outcomes.failures, key=lambda failure: place[failure.label, failure.model])
    failed = tuple(f for f in ended if f.kind != "inapplicable")
    inapplicable = tuple(f for f in ended if f.kind == "inapplicable")
    kept = () if redo else tuple(f"{task.label} of {task.subject}" for task, _ in older)
    return RunResult(outcomes.done, skipped, failed, home.directory, inapplicable, kept, plan.snapshot.source)


def of_older_code(
    plan: Plan, home: Store, shard: Shard | None, redo: bool, emit: Listener, current: Collection[str] = ()
) -> list[tuple[Task, tuple[str, ...]]]:
    """`Plan.of_other_code`, and a message that tells of them, with what becomes of them."""
    older = plan.of_other_code(home, shard, current)
    if older:
        emit(Message(changed_code(older, redo)))
    return older


class _Outcomes:
    """Counts how tasks end, and remembers failures in the store."""

    def __init__(self, home: Store, emit: Listener, setup: Setup) -> None:
        self._setup = setup
        self._costs = Costs()
        self.done = self.elsewhere = 0
        self.failures: list[Failure] = []
        self._home = home
        self._emit = emit
        self._said: set[str] = set()
        self._summed_up: list[Done] = []

    def listen(self, event: Event) -> None:
        """Take an event, and pass it on."""
        if isinstance(event, Done):
            self.done += 1
            if event.metrics is not None and event.code and event.code == code_here():
                self._summed_up.append(event)
            if not event.task.collects:  # the time of a shared pass is not that of one of them
                self._costs.note(cost_key(event.task, self._setup), event.seconds)
        elif isinstance(event, DoneElsewhere):
            self.elsewhere += 1
        elif isinstance(event, Failed):
            self._remember(event.task, event)
        elif isinstance(event, Message):  # of several workers, once
            self.tell(event.text)
            return
        self._emit(event)

    def keep(self) -> None:
        """Leave in the store what tasks took, for the next estimate, and what sums up their results."""
        try:
            with holding(self._home, self.listen):
                self._costs.keep(self._home)
                if self._summed_up:
                    summaries = Summaries(self._home)
                    for event in self._summed_up:
                        stamp = event.size, event.changed_ns, event.inode
                        summaries.put(event.task.folder, event.task.key, stamp, event.metrics or {})
                    summaries.write()
        except (OSError, StoreError):  # of no weight: estimates and tables are made without
            return

    def _remember(self, task: Task, event: Failed) -> None:
        failure = Failure(task.label, task.folder, task.subject, task.key, event.error, event.kind)
        self.failures.append(failure)
        try:
            self._home.fail(failure)
        except StoreError as error:  # a full disk must not stop the listing
            self._said.add(event.error)
            self.tell(str(error))

    def tell(self, text: str) -> None:
        """Say something that was not said before."""
        if text not in self._said:
            self._said.add(text)
            self._emit(Message(text))


def _all_ended(plan: Plan, home: Store) -> bool:
    """Whether every task, of whatever shard, is done or has failed."""
    failed = {(f.analysis, f.key) for f in home.failures()}
    return all(home.has(t.folder, t.key) or (t.folder, t.key) in failed for t in plan.part())


def _set_damaged_aside(tasks: Sequence[Task], home: Store, emit: Listener) -> set[str]:
    """Set results aside that are not what was written, so that their tasks count as not done.

    Returns:
        Keys of those that are whole and of today's code, as far as a single look at their bytes tells.
    """
    current: set[str] = set()
    words = functools.cache(lambda code: words_of(dict(code)).encode())
    for task in tasks:
        if not home.has(task.folder, task.key):
            continue
        path = home.path(task.folder, task.key)
        try:
            data = intact(path)
            if data is not None:
                if task.code and words(tuple(task.code.items())) in data:
                    current.add(task.key)
                continue
            found = fault(path)[0]
            if found and fault(path)[0]:  # twice: another run may just have put a whole one in its place
                set_aside(path)
                emit(Message(f"{task.label} of {task.subject} is computed again: {found}"))
        except OSError:  # what cannot be read is told where it is needed
            continue
    return current


def _is_whole(consolidated: Path) -> bool:
    try:
        return consolidated.is_file() and not fault(consolidated)[0]
    except OSError:
        return False


def _forget_former_failures(plan: Plan, snapshot: Snapshot, home: Store) -> None:
    """Drop failures of this zoo's tasks under keys of the past: the file was mended since, say."""
    now = {(t.label, t.folder, t.subject) for t in plan.tasks}
    keys = {key for zoo in snapshot.all() for section in zoo.sections for key in section.tasks.values()}
    for failure in home.failures():
        if failure.key not in keys and (failure.label, failure.analysis, failure.model) in now:
            home.clear_failure(failure.analysis, failure.key)


@contextmanager
def holding(home: Store, emit: Listener) -> Iterator[None]:
    """Hold the store's lock for a moment; say so if another run keeps it long."""
    lock = home.lock()
    try:
        try:
            lock.acquire(timeout=_PATIENCE_S)
        except Busy:
            who = holder(lock.path)
            emit(
                Message(
                    f"another run, {who}, is at work on '{home.directory}' (its lock: '{lock.path}'); waiting"
                    " for it."
                )
            )
            lock.acquire()
    except OSError as error:
        raise StoreError(f"'{lock.path}' cannot be locked: {error.strerror or error}.") from error
    if lock.missing:
        emit(
            Message(
                f"the file system of '{home.directory}' has no locks ({lock.missing}): results are right all"
                " the same, but runs that share the store may do a task twice."
            )
        )
    with lock:
        yield
