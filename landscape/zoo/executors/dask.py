"""A Dask cluster as executor: many machines that see the same files."""

from __future__ import annotations

import logging
import math
import time
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import Any

from distributed import Client, Future, KilledWorker
from distributed.comm.core import CommClosedError

from landscape.errors import InputError, LandscapeError, reason
from landscape.zoo.events import Done, DoneElsewhere, Event, Failed, Listener, Message, Started
from landscape.zoo.executors.base import POLL_S, tasks_by_model
from landscape.zoo.executors.dask_worker import Piece, carry_out, decode
from landscape.zoo.task import Setup, Task

__all__ = ["ClusterExecutor", "ClusterLostError"]

_CONNECT_S = 10.0
_CLOSE_S = 5.0
_LOOK_EVERY_S = 1.0
_PIECES_PER_WORKER = 4  # few, so that a model is loaded seldom; several, so that all end at about one time
_CHANCES = 3


class ClusterLostError(LandscapeError):
    """The scheduler cannot be reached any more."""


class ClusterExecutor:
    """The workers of a Dask cluster, each doing one task at a time with all its threads.

    Workers need this package and the same paths for zoo and store; they write results themselves. Tasks
    of one model go together, unless there are fewer models than workers. A worker that dies is replaced
    by Dask and its task begins again elsewhere; one at which several workers in a row have died (the
    scheduler's ``allowed-failures``, by default 3) fails, and no other with it. Workers may come and go:
    an adaptive cluster grows while tasks wait. For a problem on ``cuda``, a task takes one unit of the
    resource ``GPU`` if workers offer it, and workers on one machine take different devices.

    Args:
        address: Of the scheduler, such as ``tcp://10.0.0.1:8786``, or the path of its scheduler file.
        retries: How often a task is tried again after trouble with the worker that is not its death.
    """

    def __init__(self, address: str, retries: int = 2) -> None:
        self.address = address
        self.retries = retries

    def run(self, setup: Setup, tasks: Sequence[Task], emit: Listener) -> None:
        """Carry out all tasks; return when each is done or failed.

        Raises:
            InputError: If no scheduler answers at the address.
            ClusterLostError: If it answers no more; what is done is in the store.
        """
        if tasks:
            with _connected(self.address) as client:
                _Run(client, self.address, self.retries, setup, emit).carry_out(tasks)


class _Run:
    """One run: what is waiting, what is under way, and what was heard."""

    def __init__(self, client: Client, address: str, retries: int, setup: Setup, emit: Listener) -> None:
        self._client = client
        self._address = address
        self._retries = retries
        self._setup = setup
        self._emit = emit
        self._topic = f"landscape-{uuid.uuid4().hex}"
        self._inbox: SimpleQueue[Any] = SimpleQueue()
        self._queue: deque[list[Task]] = deque()
        self._waiting: list[tuple[float, Task]] = []
        self._under_way: dict[str, tuple[Future, list[Task]]] = {}
        self._open: dict[str, Task] = {}
        self._started: set[str] = set()
        self._chances_used: dict[str, int] = {}
        self._places = 1
        self._offers_gpu = False

    def carry_out(self, tasks: Sequence[Task]) -> None:
        """See `ClusterExecutor.run`."""
        self._client.subscribe_topic(self._topic, self._inbox.put)
        self._open = {task.key: task for task in tasks}
        self._count_workers()
        size = math.ceil(len(tasks) / (_PIECES_PER_WORKER * max(self._places, 1)))
        for chain in tasks_by_model(tasks):
            members = list(chain)
            self._queue.extend(members[i : i + size] for i in range(0, len(members), size))
        try:
            while self._open:
                self._submit()
                self._take_message()
        finally:
            self._give_up()

    def _submit(self) -> None:
        """Submit what there is room for: a piece for each worker and one to wait, so that clusters grow."""
        now = time.monotonic()
        join = not self._queue and not self._under_way
        due = [task for since, task in self._waiting if now - since > POLL_S]
        self._waiting = [(since, task) for since, task in self._waiting if now - since <= POLL_S]
        self._queue.extend([task] for task in due)
        while self._queue and len(self._under_way) < self._places + 1:
            tasks = self._queue.popleft()
            needs_gpu = self._offers_gpu and str(self._setup.problem.device).startswith("cuda")
            with self._talking_to_scheduler():
                future = self._client.submit(
                    carry_out,
                    Piece(self._setup, tuple(tasks), self._topic, join),
                    key=f"landscape-{uuid.uuid4().hex}",
                    pure=False,  # a piece has effects, and equal pieces of two runs are not one
                    retries=self._retries,
                    resources={"GPU": 1} if needs_gpu else None,
                )
            self._under_way[future.key] = future, tasks
            future.add_done_callback(self._inbox.put)

    def _take_message(self) -> None:
        """Take one message, if one comes soon."""
        try:
            message = self._inbox.get(timeout=POLL_S if self._waiting else _LOOK_EVERY_S)
        except Empty:
            self._count_workers()
            return
        if isinstance(message, Future):
            self._on_piece_end(message)
            return
        _, (content,) = message  # when the scheduler heard it, and what
        event = decode(content, self._open)
        if event is not None:
            self._on_event(event)

    def _on_event(self, event: Event) -> None:
        """Pass on an event; each task starts once and ends once, however often it is tried."""
        task = getattr(event, "task", None)
        if task is None:
            self._emit(event)
            return
        if task.key not in self._open or (isinstance(event, Started) and task.key in self._started):
            return
        if isinstance(event, Started):
            self._started.add(task.key)
        if isinstance(event, Done | DoneElsewhere | Failed):
            del self._open[task.key]
        self._emit(event)

    def _on_piece_end(self, future: Future) -> None:
        """A piece has ended: take the events that did not arrive, and see to the tasks it left open."""
        # Events are published while tasks run, so that progress is seen, but Dask promises no delivery of
        # those. All that end a task come once more as the result, which Dask does keep until it is fetched.
        _, tasks = self._under_way.pop(future.key)
        if future.status == "finished":
            with self._talking_to_scheduler():
                messages = future.result()
            for message in messages:
                event = decode(message, self._open)
                if event is not None:
                    self._on_event(event)
            now = time.monotonic()
            self._waiting += [(now, t) for t in tasks if t.key in self._open]  # another run is at them
        elif future.status == "error" and self._client.status == "running":
            self._on_failed_piece(future.exception(), tasks)
        else:
            raise self._lost()
        self._count_workers()

    def _on_failed_piece(self, error: BaseException | None, tasks: list[Task]) -> None:
        """Workers died of the first open task, or could not take it; the others go on."""
        left = [t for t in tasks if t.key in self._open]
        if not left:
            return
        first = left[0]
        if (
            isinstance(error, KilledWorker)
            and first.key not in self._started
            and self._has_another_chance(first)
        ):
            self._queue.append(left)  # it was waiting for its turn when another task killed the worker
            return
        text = "was not carried out"
        if isinstance(error, KilledWorker):
            text = "was at work when its worker process died, several times over (out of memory?)"
        elif error is not None:
            text = f"met trouble on its worker: {reason(error)}"
        self._on_event(Started(first))
        self._on_event(Failed(first, f"the task {text}.", "worker"))
        if left[1:]:
            self._queue.append(left[1:])

    def _has_another_chance(self, task: Task) -> bool:
        """Whether a task that was not seen to start is given another chance."""
        self._chances_used[task.key] = self._chances_used.get(task.key, 0) + 1
        return self._chances_used[task.key] <= _CHANCES

    def _count_workers(self) -> None:
        """How many workers there are now, and whether they offer GPUs."""
        with self._talking_to_scheduler():
            workers = self._client.sync(self._client.scheduler.identity, n_workers=-1)["workers"]
        if self._places and not workers:
            self._emit(
                Message(
                    f"the cluster at '{self._address}' has no workers now; waiting for some: if they end as"
                    f" they start, their logs say why (dashboard: {self._client.dashboard_link})."
                )
            )
        self._places = len(workers)
        self._offers_gpu = any("GPU" in worker["resources"] for worker in workers.values())

    @contextmanager
    def _talking_to_scheduler(self) -> Iterator[None]:
        """Say in one sentence that the scheduler does not answer, which Dask tells in many ways."""
        try:
            yield
        except Exception as error:
            raise self._lost() from error

    def _lost(self) -> ClusterLostError:
        return ClusterLostError(
            f"the connection to the scheduler at '{self._address}' was lost; what is done is kept: the same"
            " command goes on from there, once there is a scheduler."
        )

    def _give_up(self) -> None:
        """Leave nothing behind on the cluster."""
        if self._client.status == "running":
            with suppress(Exception):  # it may be gone by now
                self._client.cancel([future for future, _ in self._under_way.values()], force=True)
                self._client.unsubscribe_topic(self._topic)


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    """A client of the cluster; closed afterwards, whatever became of the scheduler."""
    from pathlib import Path

    where = {"scheduler_file": address} if Path(address).is_file() else {"address": address}
    try:
        client = Client(**where, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"no Dask scheduler answers at '{address}' ({reason(error)}).") from error
    try:
        with _no_tracebacks_of_loss():
            yield client
    finally:
        with _silent():  # a client whose scheduler is gone logs tracebacks; we have said so in one sentence
            client.close(timeout=_CLOSE_S)


@contextmanager
def _no_tracebacks_of_loss() -> Iterator[None]:
    """Keep what Dask logs of a lost connection from being printed; it may come before we notice the loss."""
    names = [name for name in list(logging.root.manager.loggerDict) if name.startswith("distributed")]
    handlers = {handler for name in names for handler in logging.getLogger(name).handlers}
    for handler in handlers:
        handler.addFilter(_is_not_loss)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(_is_not_loss)


def _is_not_loss(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], CommClosedError | ConnectionError))


@contextmanager
def _silent() -> Iterator[None]:
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(level)
