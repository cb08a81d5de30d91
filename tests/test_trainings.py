"""Which checkpoints are of one training: named, or told by group, seed and tags."""

from __future__ import annotations

import pytest

from landscape.store import ModelRecord
from landscape.trainings import ends_of_runs, how_far, trainings


def of(name, group="g", seed=None, run="", **tags):
    return ModelRecord(name, group, seed, tags, run=run)


def test_a_run_that_is_named():
    """Oracle: the names. Its checkpoints may differ in whatever else, such as the state of the last."""
    zoo = [of("e1", run="r", epoch=1), of("last", run="r", state="last"), of("other", "h", run="r", epoch=1)]
    found = trainings(zoo)
    assert found["e1"] == found["last"] != found["other"]
    assert ends_of_runs(zoo) == {"e1": True, "last": False, "other": True}  # no epoch says less than one


@pytest.mark.parametrize("unit", ["epoch", "step"])
def test_trainings_without_names_differ_in_time_alone(unit):
    """Oracle: the zoo is two seeds of two widths at two times each."""
    zoo = [of(f"{w}{s}{t}", seed=s, width=w, **{unit: t}) for w in (8, 16) for s in (0, 1) for t in (1, 10)]
    found = trainings(zoo)
    assert len(set(found.values())) == 4 and all(found.values())
    assert all(found[f"{w}{s}1"] == found[f"{w}{s}10"] for w in (8, 16) for s in (0, 1))
    assert [name for name, end in ends_of_runs(zoo).items() if end] == ["8010", "8110", "16010", "16110"]


def test_two_at_one_time_are_two_trainings():
    """Seeds that nobody wrote down: neither is left out as an earlier checkpoint of the other."""
    zoo = [of("a", epoch=10), of("b", epoch=10)]
    assert set(trainings(zoo).values()) == {""}
    assert ends_of_runs(zoo) == {"a": True, "b": True}


def test_what_says_no_time_stands_alone():
    assert set(trainings([of("a"), of("b"), of("c", epoch="first"), of("d", epoch=True)]).values()) == {""}


def test_how_far():
    assert how_far({"epoch": 3, "step": "many"}) == (3.0, None)
