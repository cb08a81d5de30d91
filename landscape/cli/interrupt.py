"""The start of the command line: until its work begins, Ctrl-C is one sentence, in whatever import."""

from __future__ import annotations

import os
import signal
from types import FrameType

__all__ = ["INTERRUPTED", "started", "starting"]

INTERRUPTED = "interrupted; what is done is kept: the same command goes on from there."


def starting() -> None:
    """Until `started`, end the process at once on Ctrl-C.

    As an exception it would come out of the middle of some library's import, as a traceback of fifty lines;
    and libraries that try whether a plug-in can be imported swallow it.
    """
    # Not where it is ignored (nohup), or somebody has a handler of their own.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def started() -> None:
    """From here on, Ctrl-C is an exception, and what is open is closed."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(number: int, frame: FrameType | None) -> None:
    if os.environ.get("RANK", "0") == "0":  # of torchrun's processes, one speaks
        os.write(2, f"{INTERRUPTED}\n".encode())
    os._exit(130)
