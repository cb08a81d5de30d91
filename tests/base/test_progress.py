"""The line that says how far a call is."""

from __future__ import annotations

import io

import pytest
import torch

import landscape
from landscape.base import progress
from landscape.base.progress import shown, times


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_elapsed_and_remaining_times(clock):
    """Oracle: a clock turned by hand: a quarter in 10 s leaves 30 s, three quarters in 40 s leave 13.3 s."""
    out = io.StringIO()
    with shown("Line", True, out) as tell:
        clock[0] = 1.0
        tell(0.1)  # too soon for a line that stays
        clock[0] = 10.0
        tell(0.25)
        clock[0] = 40.0
        tell(0.75)
        clock[0] = 60.0
    assert out.getvalue().splitlines() == [
        "Line: 25 %, 10.0 s so far, about 30.0 s left",
        "Line: 75 %, 40.0 s so far, about 13.3 s left",
        "Line: 1 min 0 s",
    ]
    assert times(5.0, 0.0) == "5.0 s so far, time left unknown"


def test_a_terminal_has_one_line_that_is_written_over(clock):
    """Oracle: carriage returns, and no remnant of a longer line."""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    out = Terminal()
    with shown("Line", True, out) as tell:
        clock[0] = 9.0
        tell(0.5)
    first, last = out.getvalue().split("\r")[1:]
    assert first.startswith("Line: 50 %") and len(last.rstrip("\n")) == len(first)


def test_calls_show_it_when_asked(capsys):
    """Oracle: stderr with and without; a function of the caller's own gets rising shares up to 1."""
    data = torch.zeros(4, 2), torch.zeros(4, dtype=torch.long)
    problem = landscape.Problem(torch.nn.Linear(2, 2), "cross_entropy", data)
    landscape.line(problem, steps=3)
    assert capsys.readouterr().err == ""
    landscape.line(problem, steps=3, progress=True)
    assert capsys.readouterr().err.startswith("Loss along a direction: ")
    shares = []
    landscape.line(problem, steps=3, progress=shares.append)
    assert shares == sorted(shares) and shares[-1] == 1.0
