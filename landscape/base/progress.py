"""Progress of a call: a line on stderr that says how far it is, how long it took and will take."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

__all__ = ["duration", "progress_line", "shown", "times"]

_EVERY_S = 0.2
_LINE_EVERY_S = 5.0  # where lines stay, as in a log


def duration(seconds: float) -> str:
    """A time for people.

    Example:
        >>> duration(0.04), duration(75), duration(7330), duration(float("nan"))
        ('0.0 s', '1 min 15 s', '2 h 2 min', 'unknown')
    """
    if seconds != seconds:
        return "unknown"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def times(elapsed: float, share: float) -> str:
    """How long something took, and how long it will take if all goes on as so far.

    Args:
        elapsed: Seconds since it began.
        share: The share done since then, in [0, 1].

    Example:
        >>> times(10.0, 0.25), times(3.0, 0.0)
        ('10.0 s so far, about 30.0 s left', '3.0 s so far, time left unknown')
    """
    left = f"about {duration(elapsed * (1 - share) / share)} left" if share > 0 else "time left unknown"
    return f"{duration(elapsed)} so far, {left}"


def progress_line(title: str, share: float, elapsed: float) -> str:
    """One line: what, how much of it, and the times."""
    return f"{title}: {100 * share:.0f} %, {times(elapsed, share)}"


@contextmanager
def shown(
    title: str, wanted: bool | Callable[[float], None], out: TextIO | None = None
) -> Iterator[Callable[[float], None]]:
    """A function to tell the share done, in [0, 1], which shows it.

    Args:
        title: What is being done.
        wanted: Whether to show it; or the function to tell, such as a bar of the caller's own.
        out: Where; default: stderr. On a terminal and in a notebook the line is written over, elsewhere one
            stays every five seconds.
    """
    if callable(wanted):
        yield wanted
        return
    if not wanted:
        yield lambda share: None
        return
    stream = out or sys.stderr
    over = stream.isatty() or "ipykernel" in sys.modules
    start = last = time.monotonic()
    longest = 0

    def tell(share: float) -> None:
        nonlocal last, longest
        now = time.monotonic()
        if now - last < (_EVERY_S if over else _LINE_EVERY_S):
            return
        last = now
        line = progress_line(title, min(1.0, max(0.0, share)), now - start)
        stream.write(f"\r{line.ljust(longest)}" if over else f"{line}\n")
        stream.flush()
        longest = len(line)

    try:
        yield tell
    finally:
        done = f"{title}: {duration(time.monotonic() - start)}"
        stream.write(f"\r{done.ljust(longest)}\n" if over else f"{done}\n")
        stream.flush()
