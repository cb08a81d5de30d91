"""Executors: where tasks are carried out. Tasks go in, events come out."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from landscape.zoo.events import Listener
from landscape.zoo.task import Setup, Task
from landscape.zoo.workbench import Workbench

__all__ = ["POLL_S", "Executor", "SerialExecutor", "chains", "usable_cores"]

POLL_S = 0.5
"""How often to look whether a task that another run is at is done."""


class Executor(Protocol):
    """Carries out tasks in any order, on any machine that sees the files.

    For every task it emits ``Started``, any number of ``Progress``, then ``Done`` or ``Failed``; or
    ``Found`` if another run does it. A task that fails stops no other. Results are written to the store by
    whoever computes them. A task that another run is at (`Workbench.carry_out` says so) is tried again later,
    until it is done or that run has died.
    """

    def run(self, setup: Setup, tasks: Sequence[Task], emit: Listener) -> None:
        """Carry out all tasks; return when each is done or failed."""
        ...


class SerialExecutor:
    """One task after the other, in this process.

    Args:
        workbench: One whose data is built already; by default a new one is made.
    """

    def __init__(self, workbench: Workbench | None = None) -> None:
        self._workbench = workbench

    def run(self, setup: Setup, tasks: Sequence[Task], emit: Listener) -> None:
        """Carry out all tasks; return when each is done or failed."""
        workbench = self._workbench or Workbench(setup)
        workbench.setup = setup
        queue = [task for chain in chains(tasks) for task in chain]
        join = False
        while queue:
            taken = [task for task in queue if not workbench.carry_out(task, emit, join=join)]
            join = len(taken) == len(queue)  # nothing is left but what others are at
            if join:
                time.sleep(POLL_S)
            queue = taken


def chains(tasks: Sequence[Task]) -> deque[deque[Task]]:
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
