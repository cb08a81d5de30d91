"""A report that grows with its store: ``landscape report STORE --watch``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from landscape.errors import StoreError

__all__ = ["watched"]

_EVERY_S = 5.0
_PATIENCE = 3  # times what writing took: a page of many models takes long, and a run goes on beside it


def watched(
    store: Path,
    write: Callable[[], Path],
    *,
    every_s: float = _EVERY_S,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[str]:
    """Write the report again whenever the store has changed, without end.

    Args:
        store: The store; it need not be there yet.
        write: Writes the report and returns where.
        every_s: Seconds between two looks.
        sleep: Waits.

    Yields:
        A line to show, each time something happened.
    """
    seen: tuple[int, int] | None = None
    waiting = False
    while True:
        now = _state(store)
        took = 0.0
        if now != seen and now[0]:
            start = time.perf_counter()
            try:
                path = write()
            except StoreError as error:  # a run that is just beginning, or writing
                if not waiting:
                    yield f"waiting: {error}"
                waiting = True
            else:
                seen, waiting = now, False
                yield f"report: {path} ({now[0]} results; reload the page)"
            took = time.perf_counter() - start
        elif not now[0] and not waiting:
            waiting = True
            yield f"waiting for results in '{store}'"
        sleep(max(every_s, _PATIENCE * took))


def _state(store: Path) -> tuple[int, int]:
    """How many results a store holds, and when the last one came."""
    times = []
    for file in store.glob("*/*.h5"):
        try:
            times.append(file.stat().st_mtime_ns)
        except OSError:  # replaced just now
            continue
    return len(times), max(times, default=0)
