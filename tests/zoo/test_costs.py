"""Costs: what tasks took, kept for the next estimate."""

from __future__ import annotations

import json

from landscape.store import Store
from landscape.zoo import Zoo
from landscape.zoo.costs import Costs
from landscape.zoo.events import Done


def test_costs_travel_through_a_store(tmp_path):
    """Oracle: means by hand."""
    home = Store(tmp_path / "store")
    home.lock()
    costs = Costs()
    for seconds in (1.0, 2.0, 6.0):
        costs.note("a", seconds)
    costs.keep(home)
    other = Costs()
    other.note("b", 5.0)
    other.keep(home)
    known = Costs.of(home)
    assert (known.seconds("a"), known.seconds("b"), known.seconds("c")) == (3.0, 5.0, None)


def test_a_damaged_record_is_none(tmp_path):
    (tmp_path / "costs.json").write_text('{"a": "long"}')
    assert Costs.of(Store(tmp_path)).seconds("a") is None


def test_a_run_measures_for_the_next_estimate(folder):
    """Oracle: the time that the run's own event tells, at least the fifth of a second that the toy wastes."""
    told = []
    folder.add("m0")
    section = '[analyses.total]\nanalysis = "toys:total"\nsleep_s = 0.2'
    Zoo.from_manifest(folder.write(section)).run(
        on_event=lambda e: told.append(e.seconds) if isinstance(e, Done) else None
    )
    folder.add("m1", seed=1)
    path = folder.write(section)
    (row,) = Zoo.from_manifest(path).estimate()
    assert (row.todo, row.done, row.measured) == (1, 1, 1)
    assert row.seconds == told[0] >= 0.2
    path = folder.write(section + "\nscale = 2.0")  # other options are not what was measured
    (row,) = Zoo.from_manifest(path).estimate()
    assert (row.todo, row.measured) == (2, 0)
    record = json.loads((folder.root / "results" / "costs.json").read_text())
    assert [count for count, _ in record.values()] == [1]
