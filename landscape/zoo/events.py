"""Events: what a run tells its listeners."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from landscape._moved import old_names

if TYPE_CHECKING:
    from landscape.zoo.task import Task

__all__ = [
    "Done",
    "DoneElsewhere",
    "Event",
    "Failed",
    "Listener",
    "Message",
    "Planned",
    "Progress",
    "Reading",
    "Started",
]

if not TYPE_CHECKING:
    __getattr__ = old_names(__name__)


@dataclass(frozen=True)
class Planned:
    """The run begins: tasks to do, and tasks done before; those of other shards are not counted."""

    todo: int
    done: int


@dataclass(frozen=True)
class Reading:
    """The data is being read; so many examples so far, of so many if that is known, else 0."""

    examples: int
    of: int = 0


@dataclass(frozen=True)
class Started:
    """A task begins."""

    task: Task


@dataclass(frozen=True)
class Progress:
    """A task has finished this fraction of its work."""

    task: Task
    fraction: float


@dataclass(frozen=True)
class Done:
    """A task's result is on disk; what sums it up, and the file's size, time of change and number, if kept.

    ``code`` is `landscape.base.summaries.code_here` where it was summed up: a worker may be of other code.
    """

    task: Task
    seconds: float
    metrics: Mapping[str, float | int | bool | str] | None = None
    size: int = 0
    changed_ns: int = 0
    inode: int = 0
    code: str = ""


@dataclass(frozen=True)
class DoneElsewhere:
    """Another run has done the task meanwhile."""

    task: Task


@dataclass(frozen=True)
class Failed:
    """A task failed: one sentence, its kind (see `landscape.store.Failure`), and where in the code."""

    task: Task
    error: str
    kind: str
    trace: str = ""


@dataclass(frozen=True)
class Message:
    """Something to tell the user that is not about one task."""

    text: str


Event = Planned | Reading | Started | Progress | Done | DoneElsewhere | Failed | Message


Listener = Callable[[Event], None]
