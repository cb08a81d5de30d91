"""Estimates: what a run would do, without doing it."""

from __future__ import annotations

import numpy as np

from landscape.store import read_contents
from landscape.zoo import Zoo

TOTAL = '[analyses.total]\nanalysis = "toys:total"'


PAIRS = '[analyses.distance]\nanalysis = "toys:distance"'


GROUPS = '[analyses.losses]\nanalysis = "toys:losses"'


def run(path, *args, **keywords):
    return Zoo.from_manifest(path).run(*args, **keywords)


def failures(result):
    return {f.model: f.error for f in result.failed}


def values(directory):
    """The bytes of all data variables in a store, by section and subject."""
    return {
        (s.label, subject): {name: ds[name].values.tobytes() for name in ds.variables}
        for s in read_contents(directory).sections
        for subject, ds in s.results.items()
    }


class TestEstimate:
    def test_counts_and_time(self, folder):
        """Oracle: counts by construction; a positive time for known costs; nothing is written."""
        folder.add("m0")
        folder.add("m1", seed=1)
        path = folder.write(f"{TOTAL}\n{GROUPS}")
        total, losses = Zoo.from_manifest(path).estimate()
        assert (total.label, total.todo, total.done) == ("total", 2, 0)
        assert 0 < total.seconds < 10
        assert (losses.todo, losses.done) == (1, 0)
        assert not (folder.root / "results").exists()
        run(path, ["total"])
        total, losses = Zoo.from_manifest(path).estimate()
        assert (total.todo, total.done, total.seconds) == (0, 2, 0)
        (only,) = Zoo.from_manifest(path).estimate(["total"], overwrite=True)
        assert (only.todo, only.done) == (2, 0)

    def test_a_model_that_cannot_be_built_has_no_time(self, folder):
        folder.add("m0", 'builder = "toy_models:raising"')
        (row,) = Zoo.from_manifest(folder.write()).estimate()
        assert np.isnan(row.seconds)
