"""What the command line shows while it works."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

import landscape
from landscape.cli.display import ProgressBar, RunDisplay, failure_lines
from landscape.store import Failure

TOTAL = '[analyses.total]\nanalysis = "toys:total"'


class TestDisplay:
    @pytest.mark.parametrize("terminal", [False, True])
    def test_events_become_lines(self, terminal, folder):
        """Oracle: the events of a run with one failure; a terminal gets a bar as well."""
        folder.add("m[0]")  # not markup
        folder.add("gone", save=False)
        text = io.StringIO()
        console = Console(file=text, force_terminal=terminal, width=200, color_system=None)
        with ProgressBar(console) as meter:
            landscape.Zoo.from_manifest(folder.write()).run(on_event=RunDisplay(meter))
        shown = text.getvalue()
        assert "2 tasks to do, 0 done before" in shown
        assert "[1/2, " in shown and "so far, about" in shown
        assert "total of m[0]: " in shown
        assert "[2/2] total of gone failed: checkpoint" in shown
        assert ("━" in shown) == terminal

    def test_plain_lines_tell_the_time_left(self, monkeypatch):
        """Oracle: a clock turned by hand: a quarter done in 10 s leaves 30 s."""
        now = [0.0]
        monkeypatch.setattr("landscape.cli.display.time.monotonic", lambda: now[0])
        text = io.StringIO()
        meter = ProgressBar(Console(file=text, width=200))
        meter.begin(4, "tasks")
        now[0] = 1.0
        meter.update(0.1, "too soon for a line")
        now[0] = 10.0
        meter.update(1.0, "line of vit")
        assert text.getvalue() == "1 of 4 tasks, 10.0 s so far, about 30.0 s left: line of vit\n"

    def test_before_the_first_task_has_ended_the_time_left_is_unknown(self, monkeypatch):
        """Oracle: the same clock; one task alone is known by its own share. No subject, no colon."""
        now = [0.0]
        monkeypatch.setattr("landscape.cli.display.time.monotonic", lambda: now[0])
        text = io.StringIO()
        meter = ProgressBar(Console(file=text, width=200))
        for whole in (4, 1):
            meter.begin(whole, "tasks")
            now[0] += 10.0
            meter.update(0.5, "")
        assert text.getvalue().splitlines() == [
            "0.5 of 4 tasks, 10.0 s so far, time left unknown",
            "0.5 of 1 tasks, 10.0 s so far, about 10.0 s left",
        ]

    def test_one_failure_line_for_each_model_and_error(self):
        failures = [Failure(label, "a", model, "k", "bad.", "input") for model in "xy" for label in "ab"]
        assert failure_lines(failures) == ["x (a, b): bad.", "y (a, b): bad."]
