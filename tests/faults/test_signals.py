"""Signals to runs: the first few of `signals.py`, in a process of its own, since it forks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(("mode", "count"), [("serial", 4), ("jobs", 3)])
def test_nothing_is_lost_and_nobody_left(mode, count):
    """Oracle: the bytes before each signal, and the bits of an undisturbed run; see `signals.py`."""
    script = Path(__file__).with_name("signals.py")
    command = [sys.executable, "-W", "ignore", str(script), str(count), "--modes", mode]
    out = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert out.returncode == 0, out.stdout + out.stderr
    assert "nothing lost, no orphans, all bits alike" in out.stdout
