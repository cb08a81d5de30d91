"""Executors: where tasks are carried out. Tasks go in, events come out."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from landscape.zoo.task import Listener, Setup, Task
from landscape.zoo.workbench import Workbench

__all__ = ["Executor", "SerialExecutor", "chains", "usable_cores"]


class Executor(Protocol):
    """Carries out tasks in any order, on any machine that sees the files.

    For every task it emits ``Started``, any number of ``Progress``, then ``Done`` or ``Failed``. A task
    that fails stops no other. Results are written to the store by whoever computes them.
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
        for chain in chains(tasks):
            for task in chain:
                workbench.carry_out(task, emit)


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
