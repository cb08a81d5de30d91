"""Ctrl-C while a command starts: a sentence and the status 130, and no traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from landscape.cli.interrupt import INTERRUPTED

# A library that swallows the exception, as pydantic does while it looks for plug-ins, and one that does not.
# A test run in the background of a shell inherits that Ctrl-C is ignored.
SLOW = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "landscape.cli.app":
            print("importing", flush=True)
            try:
                time.sleep(60)
            except {caught}:
                pass
sys.meta_path.insert(0, Slow())
sys.argv = ["landscape", "scan", "."]
from landscape.cli import main
main()
"""


@pytest.mark.parametrize("caught", ["()", "BaseException"])
@pytest.mark.parametrize("rank", ["0", "1"])
def test_during_an_import(caught, rank):
    """Oracle: exit status and output of the command; of torchrun's processes only the first speaks."""
    environment = os.environ | {"RANK": rank}
    with subprocess.Popen(
        [sys.executable, "-c", SLOW.format(caught=caught)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert (process.returncode, told) == (130, f"{INTERRUPTED}\n" if rank == "0" else "")
