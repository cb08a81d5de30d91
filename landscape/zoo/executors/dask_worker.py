"""What runs on the workers of a Dask cluster, and the form in which events come back."""

from __future__ import annotations

import contextlib
import os
import platform
import stat
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from landscape.store.locks import Busy, Lock
from landscape.zoo.events import Done, DoneElsewhere, Event, Failed, Listener, Progress, Started
from landscape.zoo.events import Message as Text
from landscape.zoo.loader import Loader
from landscape.zoo.runner import Runner
from landscape.zoo.task import Setup, Task

__all__ = ["Piece", "carry_out", "decode", "encode"]

_KINDS: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (Started, Progress, Done, DoneElsewhere, Failed, Text)
}

Message = dict[str, Any]
"""An event with its task as a key: strings and numbers only."""


@dataclass(frozen=True)
class Piece:
    """Some tasks for one worker.

    Attributes:
        setup: What all tasks share.
        tasks: One after the other.
        topic: Where events go.
        join: Whether to help other runs; see `Runner.carry_out`.
    """

    setup: Setup
    tasks: tuple[Task, ...]
    topic: str
    join: bool


def carry_out(piece: Piece) -> list[Message]:
    """Carry out tasks in a worker; tell each event at once, and all that matter again at the end."""
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()
    told: list[Message] = []

    def tell(event: Event) -> None:
        message = encode(event)
        worker.log_event(piece.topic, [message])  # to a mapping itself, Dask would add things of its own
        if not isinstance(event, Progress):
            told.append(message)

    with _PROCESS.lock:
        for task in piece.tasks:
            state = worker.state.tasks.get(key)
            if state is None or state.state == "cancelled":  # the run has ended
                break
            _PROCESS.carry_out(piece.setup, task, tell, piece.join, worker.state.nthreads)
    return told


class _Process:
    """The runner of this process, kept from piece to piece; it does one task at a time."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._runner: Runner | None = None
        self._device: int | None = None

    def carry_out(self, setup: Setup, task: Task, tell: Listener, join: bool, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        if str(setup.problem.device) == "cuda" and torch.cuda.is_available():
            if self._device is None:
                self._device = pick_device(torch.cuda.device_count())
            torch.cuda.set_device(self._device)
        if self._runner is None or self._runner.setup != setup:
            self._runner = None  # its data goes before other data comes
            self._runner = Runner(Loader(setup))
        self._runner.carry_out(task, tell, join=join)


_PROCESS = _Process()
_LOCKS: list[Any] = []  # held as long as this process lives


def pick_device(count: int) -> int:
    """A GPU that no other worker on this machine has picked; if all are taken, one by process number."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = visible.split(",") if visible else [str(i) for i in range(count)]
    for device, name in enumerate(names[:count]):
        safe = "".join(c if c.isalnum() else "_" for c in name)
        try:
            lock = Lock(_own_folder() / f"gpu-{safe}.lock").acquire(timeout=0)
        except Busy:
            continue
        except OSError:  # no place for locks: any device is better than none
            break
        _LOCKS.append(lock)
        return device
    return os.getpid() % max(count, 1)


def _own_folder() -> Path:
    """A folder for locks on this machine that nobody else can write to.

    Raises:
        OSError: If there can be none.
    """
    # In the folder for temporary files anybody may have put a file of any name, and hold a lock on it.
    name = f"landscape-{os.getuid()}"
    home = Path.home() / ".cache" / f"landscape-{platform.node() or 'host'}"
    for folder in (Path(tempfile.gettempdir()) / name, home):
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, parents=folder == home, exist_ok=True)
            status = folder.lstat()
            if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022:
                return folder
    raise OSError("there is no folder for locks")


def encode(event: Event) -> Message:
    """An event as a message."""
    parts = {f.name: getattr(event, f.name) for f in fields(event)}
    if "task" in parts:
        parts["task"] = parts["task"].key
    return {"event": type(event).__name__, **parts}


def decode(message: Message, tasks: Mapping[str, Task]) -> Event | None:
    """The event of a message; ``None`` if its task is none of these."""
    parts = dict(message)
    kind = _KINDS[parts.pop("event")]
    if "task" in parts:
        if parts["task"] not in tasks:
            return None
        parts["task"] = tasks[parts["task"]]
    event: Event = kind(**parts)
    return event
