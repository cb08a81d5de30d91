"""Several trainings at once, each in a process of its own; they end when the caller does.

`concurrent.futures.ProcessPoolExecutor` would not do: it passes no messages before the end, does not tell
with which status a worker died, and on Ctrl-C waits for the trainings under way. Nor would
`landscape.zoo.executors.pool`: its workers load models of a manifest and write results into a store, where a
training has neither; and the reference zoo, which serves as an example, builds on core at most.
"""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, TypeVar

from landscape._workers import live_with_parent, spawning
from landscape.errors import LandscapeError

__all__ = ["run_all"]

Result = TypeVar("Result")
Report = Callable[..., None]


def run_all(
    function: Callable[..., Result],
    calls: Sequence[tuple[Any, ...]],
    *,
    jobs: int,
    on_report: Report | None = None,
) -> list[Result]:
    """``function(*call, report)`` for each call, in up to `jobs` processes at a time.

    With one job all is done in this process. If a call raises, or this process is interrupted, the
    other calls are killed: they must be able to go on where they were.

    Args:
        function: A function of a module; its arguments, reports and results are pickled.
        calls: The arguments of each call.
        jobs: Number of processes.
        on_report: Called in this process with whatever a call gives to its ``report``.

    Returns:
        The results in the order of the calls.

    Raises:
        LandscapeError: If a process dies.
        BaseException: What a call raised.
    """
    report = on_report or (lambda *_: None)
    if jobs <= 1 or len(calls) <= 1:
        return [function(*call, report) for call in calls]
    results: dict[int, Result] = {}
    running: dict[Connection, tuple[int, SpawnProcess]] = {}
    waiting = list(range(len(calls)))
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                index = waiting.pop(0)
                pipe, process = _start(function, calls[index])
                running[pipe] = index, process
            for ready in wait(list(running)):
                assert isinstance(ready, Connection)
                index, process = running[ready]
                kind, content = _receive(ready, process)
                if kind == "report":
                    report(*content)
                elif kind == "error":
                    raise content
                else:
                    results[index] = content
                    del running[ready]
                    process.join()
    finally:
        for _, process in running.values():
            process.kill()
    return [results[index] for index in range(len(calls))]


def _start(function: Callable[..., Any], call: tuple[Any, ...]) -> tuple[Connection, SpawnProcess]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(theirs, function, call))
    with spawning():
        process.start()
    theirs.close()  # so that the pipe ends when the process does
    return ours, process


def _receive(pipe: Connection, process: SpawnProcess) -> tuple[str, Any]:
    try:
        kind, content = pipe.recv()
    except EOFError:
        process.join()
        raise LandscapeError(
            f"a training process ended with status {process.exitcode}; run it again to go on where it was"
            " (in a script, put the call under `if __name__ == '__main__':`)."
        ) from None
    return kind, content


def _work(pipe: Connection, function: Callable[..., Any], call: tuple[Any, ...]) -> None:
    live_with_parent()
    try:
        result = function(*call, lambda *report: _send(pipe, "report", report))
    except BaseException as error:
        _send(pipe, "error", error)
    else:
        _send(pipe, "result", result)


def _send(pipe: Connection, kind: str, content: Any) -> None:
    # Connection.send would pass tensors as shared memory of this process, which may have ended when they are
    # read.
    pipe.send_bytes(pickle.dumps((kind, content)))
