"""What worker processes do first, seen from outside: they end with their parent and not with Ctrl-C."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PARENT = """
import multiprocessing, signal, sys, time
from landscape._workers import live_with_parent

def work(ready):
    live_with_parent()
    ready.put(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)
    while True:  # a computation that never looks up
        pass

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    ready = context.Queue()
    process = context.Process(target=work, args=(ready,))
    process.start()
    print(process.pid, ready.get(), flush=True)
    time.sleep(100)
"""


def alive(pid: int) -> bool:
    """Whether a process runs: one that has ended and waits to be fetched does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_worker_ends_with_its_parent_even_by_kill_and_not_by_ctrl_c(tmp_path):
    """Oracle: the system's own account of the process."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, ignores = parent.stdout.readline().split()
        worker = int(pid)
        assert ignores == "True"
        os.kill(worker, signal.SIGINT)
        time.sleep(0.3)
        assert alive(worker)
        parent.kill()
        deadline = time.monotonic() + 30
        while alive(worker) and time.monotonic() < deadline:
            time.sleep(0.05)
    assert not alive(worker)


def test_a_process_without_a_parent_lives_on():
    """Oracle: this process, which nobody made with multiprocessing: the thread has nothing to wait for."""
    from landscape._workers import _leave_with_parent

    assert multiprocessing.parent_process() is None
    _leave_with_parent()
