"""What every worker process does first, and how it knows that it is one of several."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["follows", "launched", "live_with_parent", "spawning"]


@contextmanager
def spawning() -> Iterator[None]:
    """Within it, processes can be spawned from a program that is no file, as one read from standard input.

    Python has a spawned process run the file of the main program first, and says of standard input that it is
    the file ``<stdin>``. Workers need nothing of the main program.
    """
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    nameless = file is not None and getattr(main, "__spec__", None) is None and not Path(file).exists()
    if nameless:
        del main.__file__
    try:
        yield
    finally:
        if nameless:
            main.__file__ = file


def live_with_parent() -> None:
    """Let the parent decide when this process ends.

    Ctrl-C, which reaches both, is left to the parent; and when the parent ends, even by SIGKILL, this
    process ends too, even within a long computation.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    import multiprocessing  # here, since the command line asks the questions below before it does anything
    from multiprocessing.connection import wait

    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        # `sys.exit` would end this thread alone, and the main one may be deep in a long computation.
        os._exit(1)


def launched() -> bool:
    """Whether this process was started as one of several, as by torchrun."""
    several = os.environ.get("WORLD_SIZE", "") not in ("", "0", "1")
    return several and "RANK" in os.environ and "MASTER_ADDR" in os.environ


def follows() -> bool:
    """Whether it is one of several, and not the first: it has nothing to tell."""
    return launched() and os.environ["RANK"] != "0"
