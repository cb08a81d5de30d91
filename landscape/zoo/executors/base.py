"""Executors: where tasks are carried out. Tasks go in, events come out."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from landscape.zoo.events import Listener
from landscape.zoo.loader import Loader
from landscape.zoo.runner import Runner
from landscape.zoo.task import Setup, Task

__all__ = ["POLL_S", "Executor", "SerialExecutor", "tasks_by_model", "usable_cores"]

POLL_S = 0.5
"""How often to look whether a task that another run is at is done."""


class Executor(Protocol):
    """Carries out tasks in any order, on any machine that sees the files.

    For every task it emits ``Started``, any number of ``Progress``, then ``Done`` or ``Failed``; or
    ``DoneElsewhere`` if another run does it. A task that fails stops no other. Results are written to the
    store by whoever computes them. A task that another run is at (`Runner.carry_out` says so) is tried again
    later, until it is done or that run has died.
    """

    def run(self, setup: Setup, tasks: Sequence[Task], emit: Listener) -> None:
        """Carry out all tasks; return when each is done or failed."""
        ...


class SerialExecutor:
    """One task after the other, in this process.

    Args:
        runner: One whose data is built already; by default a new one is made.
    """

    def __init__(self, runner: Runner | None = None) -> None:
        self._runner = runner

    def run(self, setup: Setup, tasks: Sequence[Task], emit: Listener) -> None:
        """Carry out all tasks; return when each is done or failed."""
        runner = self._runner or Runner(Loader(setup))
        runner.setup = setup  # with what planning has found out
        queue = [task for chain in tasks_by_model(tasks) for task in chain]
        # What another run is at is tried again when the rest is done. Only when nothing else is left do we
        # help others: work in pieces has a cost of its own, and other tasks have none.
        join = False
        while queue:
            claimed_elsewhere = [task for task in queue if not runner.carry_out(task, emit, join=join)]
            join = len(claimed_elsewhere) == len(queue)
            if join:
                time.sleep(POLL_S)
            queue = claimed_elsewhere


def tasks_by_model(tasks: Sequence[Task]) -> deque[deque[Task]]:
    """Tasks whose first model is the same, in a row, so that it is loaded once."""
    found: dict[str, deque[Task]] = {}
    for task in tasks:
        found.setdefault(task.members[0].name, deque()).append(task)
    return deque(found.values())


def usable_cores() -> int:
    """Number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
