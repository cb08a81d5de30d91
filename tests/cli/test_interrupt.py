"""What Ctrl-C does at the start of a command, and after it."""

from __future__ import annotations

import subprocess
import sys


def test_handlers_of_others_stay():
    """Oracle: Python's own list of handlers; a command begins, and then does its work."""
    code = (
        "import signal\nfrom landscape.cli.interrupt import started, starting\n"
        "default, ignore = signal.default_int_handler, signal.SIG_IGN\n"
        "signal.signal(signal.SIGINT, default)\n"  # ignored where tests run in the background of a shell
        "starting(); assert signal.getsignal(signal.SIGINT) is not default\n"
        "started(); assert signal.getsignal(signal.SIGINT) is default\n"
        "signal.signal(signal.SIGINT, ignore)\n"
        "starting(); assert signal.getsignal(signal.SIGINT) is ignore\n"
        "started(); assert signal.getsignal(signal.SIGINT) is ignore\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
