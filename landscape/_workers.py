"""What every worker process does first."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import wait

__all__ = ["live_with_parent"]


def live_with_parent() -> None:
    """Let the parent decide when this process ends.

    Ctrl-C, which reaches both, is left to the parent; and when the parent ends, even by SIGKILL, this
    process ends too, even within a long computation.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
