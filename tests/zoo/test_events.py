"""Events: names that changed are found under the old one, with a warning."""

from __future__ import annotations

import importlib
import pickle

import pytest

from landscape.zoo import events, problem_options, runner, spec
from landscape.zoo.task import Task


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("zoo.events.Found", events.DoneElsewhere),
        ("zoo.events.Notice", events.Message),
        ("zoo.task.Done", events.Done),
        ("zoo.task.Member", spec.Model),
        ("zoo.spec.ModelSpec", spec.Model),
        ("zoo.spec.Settings", problem_options.ProblemOptions),
        ("zoo.workbench.Workbench", runner.Runner),
    ],
)
def test_old_names_are_found_with_a_warning(old, new):
    """Oracle: the classes of today."""
    module, _, name = old.rpartition(".")
    with pytest.warns(DeprecationWarning, match=f"{name} is now|{module} is now"):
        assert getattr(importlib.import_module(f"landscape.{module}"), name) is new


def test_events_are_plain_values_that_travel():
    """Oracle: equality after the way to another process; a pool sends them through pipes."""
    task = Task("key", "label", "analysis", "folder", "{}", "checkpoint", "m0", ())
    for event in (events.Started(task), events.Failed(task, "bad.", "input"), events.Message("text")):
        assert pickle.loads(pickle.dumps(event)) == event
