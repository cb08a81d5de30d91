from __future__ import annotations

import json

import numpy as np
import xarray as xr

from landscape.base.along_training import numbers_along_training, runs
from landscape.base.figure import Line, Points
from landscape.base.metric import Metric


def checkpoint(epoch: int, seed: int = 0, **numbers: float) -> xr.Dataset:
    attrs = {"group": "net", "model_seed": seed, "tags": json.dumps({"epoch": epoch, "width": 8})}
    return xr.Dataset(dict(numbers), attrs=attrs)


def summary(ds: xr.Dataset) -> list[Metric]:
    return [
        Metric("trace", float(ds["trace"]), "nats", error=0.5),
        Metric("parameters", 7),
        Metric("verdict", "converged"),
        Metric("rank", float(ds["rank"])),
    ]


def test_every_number_that_changes_has_a_panel_in_the_order_of_training() -> None:
    """Oracle: numbers put in by hand, checkpoints in another order than that of their epochs."""
    datasets = {
        f"net-s{seed}-epoch{epoch}": checkpoint(
            epoch, seed, trace=10.0 * epoch + seed, rank=float(epoch == 2)
        )
        for seed in (0, 1)
        for epoch in (5, 1, 2)
    }
    (figure,) = numbers_along_training("Trace", datasets, summary)
    panels = [panel for row in figure.panels for panel in row]
    assert [p.title for p in panels] == ["trace", "rank"]  # the count does not change, the word is no number
    assert all(p.x.label == "epoch" for p in panels) and panels[0].y.unit == "nats"
    lines = [m for m in panels[0].marks if isinstance(m, Line)]
    np.testing.assert_array_equal(lines[1].x, [1, 2, 5])
    np.testing.assert_array_equal(lines[1].y, [11, 21, 51])
    errors = [m for m in panels[0].marks if isinstance(m, Points)]
    np.testing.assert_array_equal(errors[0].error, [0.5] * 3)
    assert not [m for m in panels[1].marks if isinstance(m, Points)]  # no error is known


def test_two_checkpoints_are_no_curve_and_a_missing_number_is_a_gap() -> None:
    """Oracle: by hand."""
    two = {str(e): checkpoint(e, trace=1.0 * e, rank=1.0) for e in (1, 2)}
    assert len(runs(two)) == 1 and numbers_along_training("Trace", two, summary) == []
    four = {str(e): checkpoint(e, trace=np.nan if e == 2 else 1.0 * e, rank=1.0) for e in (1, 2, 3, 4)}
    (figure,) = numbers_along_training("Trace", four, summary)
    (panel,) = (p for row in figure.panels for p in row)
    np.testing.assert_array_equal(panel.marks[0].y, [1, np.nan, 3, 4])
