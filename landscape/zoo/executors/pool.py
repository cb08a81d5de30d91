"""A pool of worker processes that survives the death of any of them, and dies with its parent."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Literal

from landscape._workers import live_with_parent, spawning
from landscape.errors import InputError
from landscape.zoo.events import Done, DoneElsewhere, Event, Failed, Listener
from landscape.zoo.executors.base import POLL_S, tasks_by_model, usable_cores
from landscape.zoo.loader import Loader
from landscape.zoo.runner import Runner
from landscape.zoo.task import Setup, Task

__all__ = ["WORKER", "PoolExecutor", "refuse_in_worker"]

WORKER = "landscape worker"
"""Name of the worker processes."""

_READY: Literal["ready"] = "ready"
_CLAIMED: Literal["claimed"] = "claimed"  # by another run
_FAILED_STARTS = 3
_LOOK_EVERY_S = 1.0


@dataclass(eq=False)
class _Worker:
    """A process, our end of its pipe, what it does now, and what it is to do next."""

    process: SpawnProcess
    pipe: Connection
    chain: deque[Task] = field(default_factory=deque)
    task: Task | None = None
    ready: bool = False


class PoolExecutor:
    """Processes on this machine, each with its share of torch threads.

    A worker that dies (killed, out of memory, segmentation fault) fails the task it was at and is
    replaced. Workers exit when their parent does, however it ends. Tasks of one model go to one worker
    in a row; idle workers take over what is left of the longest row.

    Args:
        jobs: Number of processes.
        threads: Torch threads of each; by default the usable cores divided by ``jobs``.
    """

    def __init__(self, jobs: int, threads: int | None = None) -> None:
        if jobs < 1:
            raise InputError(f"the number of jobs must be at least 1; got {jobs}.")
        self.jobs = jobs
        self.threads = threads or max(1, usable_cores() // jobs)
        self._waiting: list[tuple[float, Task]] = []
        self._join = False

    def run(self, setup: Setup, tasks: Sequence[Task], emit: Listener) -> None:
        """Carry out all tasks; return when each is done or failed.

        Raises:
            InputError: If no worker can be started.
        """
        queue = tasks_by_model(tasks)
        self._waiting = []
        workers: list[_Worker] = []
        failed_starts = 0
        try:
            while queue or self._waiting or any(w.chain or w.task for w in workers):
                self._try_again(queue, workers)
                open_tasks = sum(map(len, queue)) + sum(len(w.chain) + bool(w.task) for w in workers)
                while len(workers) < min(self.jobs, open_tasks):
                    workers.append(self._start(setup))
                for worker in workers:
                    if worker.ready and worker.task is None:
                        self._assign(worker, queue, workers)
                # Not for ever: a child of a worker may hold its pipe open after its death.
                wait([w.pipe for w in workers], timeout=POLL_S if self._waiting else _LOOK_EVERY_S)
                for worker in list(workers):
                    if self._listen(worker, emit):
                        continue
                    workers.remove(worker)
                    if worker.chain:
                        queue.append(worker.chain)
                    failed_starts = 0 if worker.ready else failed_starts + 1
                    if failed_starts == _FAILED_STARTS:
                        raise InputError(
                            f"worker processes cannot start ({_exit_reason(worker.process)}); in a script,"
                            " put the call under `if __name__ == '__main__':`, or use one job."
                        )
        finally:
            for worker in workers:
                worker.process.kill()
            for worker in workers:
                worker.process.join()
                worker.pipe.close()

    def _try_again(self, queue: deque[deque[Task]], workers: Sequence[_Worker]) -> None:
        """Queue again, after a while, what other runs have claimed; help them if nothing else is left."""
        now = time.monotonic()
        idle = not queue and not any(w.chain or w.task for w in workers)
        due = [task for since, task in self._waiting if now - since > POLL_S]
        self._waiting = [(since, task) for since, task in self._waiting if now - since <= POLL_S]
        queue.extend(deque([task]) for task in due)
        self._join = idle

    def _start(self, setup: Setup) -> _Worker:
        # Not fork: a child of a process with running threads (torch's) may deadlock, and CUDA refuses it. Not
        # concurrent.futures: there, one worker that dies breaks the pool and every task in it.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, setup, self.threads), name=WORKER)
        with spawning():
            process.start()
        theirs.close()  # so that the pipe ends when the worker does
        return _Worker(process, ours)

    def _assign(self, worker: _Worker, queue: deque[deque[Task]], workers: Sequence[_Worker]) -> None:
        """Give an idle worker its next task, if there is one."""
        if not worker.chain and queue:
            worker.chain = queue.popleft()
        if not worker.chain:
            longest = max(workers, key=lambda w: len(w.chain))
            if not longest.chain:
                return
            # From the end of the row, since its front is what the other comes to next with its model loaded.
            worker.chain.append(longest.chain.pop())
        worker.task = worker.chain.popleft()
        try:
            worker.pipe.send((worker.task, self._join))
        except OSError:  # it is dead: listening to it will tell
            return

    def _listen(self, worker: _Worker, emit: Listener) -> bool:
        """Take one message if there is one; return whether the worker lives."""
        # Asked first, so that all that a dead worker sent is in the pipe by now; and asked at all, since
        # a child that it left behind may hold the pipe open.
        alive = worker.process.is_alive()
        try:
            if not worker.pipe.poll():
                return alive or self._on_worker_death(worker, emit)
            message: Event | Literal["ready", "claimed"] = worker.pipe.recv()
        except (EOFError, OSError):
            return self._on_worker_death(worker, emit)
        if message == _READY:
            worker.ready = True
        elif message == _CLAIMED:
            assert worker.task is not None
            self._waiting.append((time.monotonic(), worker.task))
            worker.task = None
        elif not isinstance(message, str):
            emit(message)
            if isinstance(message, Done | DoneElsewhere | Failed):
                worker.task = None
        return True

    def _on_worker_death(self, worker: _Worker, emit: Listener) -> Literal[False]:
        """The worker is dead, and with it the task it was at."""
        worker.process.join()
        worker.pipe.close()
        if worker.task is not None:
            emit(Failed(worker.task, f"its worker process {_exit_reason(worker.process)}.", "worker"))
        return False


def refuse_in_worker() -> None:
    """Raise within a worker: a script without a main guard runs again in each worker it starts.

    Raises:
        InputError: If this process is a worker.
    """
    if multiprocessing.current_process().name == WORKER:
        raise InputError("a worker process started a run; put it under `if __name__ == '__main__':`.")


def _exit_reason(process: SpawnProcess) -> str:
    """How a process ended."""
    code = process.exitcode
    if code is None or code >= 0:
        return f"ended with status {code}"
    name = signal.Signals(-code).name
    return f"was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


def _work(pipe: Connection, setup: Setup, threads: int) -> None:
    """What a worker does: tasks in, events out."""
    live_with_parent()
    import torch

    torch.set_num_threads(threads)
    runner = Runner(Loader(setup))
    pipe.send(_READY)
    while True:
        try:
            task, join = pipe.recv()
        except EOFError:
            return
        if not runner.carry_out(task, pipe.send, join=join):
            pipe.send(_CLAIMED)
