"""Pictures of ``generalisation``."""

from __future__ import annotations

import numpy as np

import landscape
from landscape.analyses.taxonomy.forest import ROWS, plots
from landscape.base.figure import Points


def test_the_strongest_stand_at_the_top_and_the_rest_is_counted() -> None:
    """Oracle: one number that is the outcome itself among forty of noise."""
    rng = np.random.default_rng(0)
    accuracy = rng.normal(size=20)
    table = {"accuracy": accuracy, "itself": accuracy} | {
        f"noise {k}": rng.normal(size=20) for k in range(39)
    }
    (forest,) = plots({"one": landscape.generalisation(table)})
    assert forest.y.categories is not None and len(forest.y.categories) == ROWS
    assert forest.y.categories[-1] == "itself"
    assert f"The {ROWS} strongest of 40 numbers." in forest.whole_caption
    (points,) = (mark for mark in forest.marks if isinstance(mark, Points))
    assert np.asarray(points.y).tolist() == list(range(ROWS)) and np.asarray(points.x)[-1] == 1.0
