from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from study_models import trained

from landscape.studies import effects
from landscape.studies.data import Data
from landscape.studies.measured import Measured, Part
from landscape.studies.phases import Column, Grid, lead, lead_interval, without_seed


def test_lead_of_the_best_phase():
    """Oracle: means by hand; NaN where IV-B has one cell, or there is no other phase."""
    loads = [1.0, 2.0, 3.0, 4.0]
    part = xr.Dataset(
        {"test_accuracy": ("cell", [90.0, 86.0, 80.0, 60.0])},
        coords={"load": ("cell", loads), "temperature": ("cell", [1.0] * 4)},
    )
    phase = dict(zip([(load, 1.0) for load in loads], ["IV-B", "IV-B", "I", "II"], strict=True))
    assert lead(part, phase) == 8.0
    # two cells of IV-B drawn twice: 86, 88 or 90, with probabilities 1/4, 1/2, 1/4
    assert lead_interval(part, phase) == (6.0, 10.0)
    assert np.isnan(lead(part, {**phase, (2.0, 1.0): "I"}))
    assert np.isnan(lead(part, dict.fromkeys(phase, "IV-B")))


def test_a_table_without_a_seed_has_none_of_its_pairs():
    """Oracle: by hand for three seeds, whose pairs are 0-1, 1-2 and 2-0."""
    table = {"replicate": np.array([0.0, 1.0, 2.0])}
    table |= {name: np.array([10.0, 11.0, 12.0]) for name in ("test_accuracy", "cka")}
    left = without_seed(table, 0, ["cka"])
    assert left["test_accuracy"].tolist() == [11.0, 12.0]
    np.testing.assert_array_equal(left["cka"], [11.0, np.nan])
    np.testing.assert_array_equal(without_seed(table, 1, ["cka"])["cka"], [np.nan, 12.0])
    assert table["cka"].tolist() == [10.0, 11.0, 12.0]


def test_rows_of_a_grid_are_cells_and_replicates(tmp_path: Path):
    """Oracle: numbers put in by hand: of models, of pairs i and i + 1 in either order, of a kind."""
    models = [trained("w2", seed, tmp_path) for seed in (0, 1, 2)]
    for model in models:
        object.__setattr__(model.recipe, "tags", {"width": "2", "batch_size": "8"})
    names = [m.name for m in models]
    similar = xr.Dataset(
        {"output_cka": (("model", "other"), [[1, 0.1, 0.2], [0.1, 1, 0.3], [0.2, 0.3, 1]])},
        coords={"model": names, "other": names},
    )
    results = {
        "trace": {name: xr.Dataset({"trace": float(i)}) for i, name in enumerate(names[:2])},
        "connect": {
            "w2-s0 ~ w2-s1": xr.Dataset({"gap": 1.0}),
            "w2-s0 ~ w2-s2": xr.Dataset({"gap": 2.0}),
        },
        "cka": {"w2": similar},
    }
    columns = {
        "test_accuracy": Column("training", effects.test_accuracy, scale=100),
        "trace": Column("trace", effects.trace),
        "gap": Column("connect", lambda ds: float(ds["gap"]), pair=True),
        "cka": Column("cka", effects.between("output_cka"), pair=True),
    }
    grid = Grid("g", "width", "width", "batch_size", columns, ("c",))
    measured = Measured([Part("c", models, Data.digits(10, 5), results)])
    (part,) = measured.named(grid.cohorts)
    rows = list(grid._rows(part))
    table = {key: [row[key] for row in rows] for key in rows[0]}
    assert table["replicate"] == [0, 1, 2]
    assert table["width"] == [2, 2, 2]
    assert table["test_accuracy"] == [50, 50, 50]
    np.testing.assert_array_equal(table["trace"], [0, 1, np.nan])
    np.testing.assert_array_equal(table["gap"], [1, np.nan, 2])
    assert table["cka"] == [0.1, 0.3, 0.2]
