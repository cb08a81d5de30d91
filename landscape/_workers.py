"""What every worker process does first, and how it knows that it is one of several."""

from __future__ import annotations

import os
import signal
import threading

__all__ = ["follows", "launched", "live_with_parent"]


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
        os._exit(1)


def launched() -> bool:
    """Whether this process was started as one of several, as by torchrun."""
    several = os.environ.get("WORLD_SIZE", "") not in ("", "0", "1")
    return several and "RANK" in os.environ and "MASTER_ADDR" in os.environ


def follows() -> bool:
    """Whether it is one of several, and not the first: it has nothing to tell."""
    return launched() and os.environ["RANK"] != "0"
