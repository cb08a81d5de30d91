"""Which results are checkpoints of one training, and the curve through them."""

from __future__ import annotations

import json

import numpy as np
import xarray as xr

from landscape.analyses.curvature._along_training import along_training, runs
from landscape.base.figure import Axis, FigureSpec, Line, Points


def result(value, group="g", seed=0, **tags):
    attrs = {"group": group, "model_seed": seed, "tags": json.dumps(tags)}
    return xr.Dataset({"v": ("i", np.atleast_1d(value))}, attrs=attrs)


def spec():
    return FigureSpec("f", "F", Axis("x"), Axis("v"), (), "C.")


def test_a_training_is_told_by_group_seed_and_the_other_tags():
    """Oracle: the tags; steps count where no epoch is told, and a lone checkpoint is no training."""
    found = runs(
        {
            "late": result(1.0, epoch=9, width=2),
            "early": result(2.0, epoch=1, width=2),
            "other width": result(3.0, epoch=1, width=4),
            "other seed": result(4.0, seed=1, epoch=1, width=2),
        }
    )
    (run,) = found
    assert (run.progress, run.series.name, run.at.tolist()) == ("epoch", "g seed 0", [1.0, 9.0])
    assert [float(ds["v"][0]) for ds in run.datasets] == [2.0, 1.0]
    (run,) = runs({"a": result(1.0, step=10), "b": result(2.0, step=20)})
    assert run.progress == "step"
    assert runs({"a": result(1.0, epoch=1), "b": result(2.0, epoch=True), "c": result(3.0)}) == []


def test_the_curve_goes_through_the_largest_of_several_values():
    """Oracle: the values written out."""
    assert along_training({"a": result(1.0, epoch=1)}, spec(), "v") == []
    (figure,) = along_training(
        {"b": result([3.0, 5.0], epoch=2), "a": result([1.0, 2.0], epoch=1)}, spec(), "v"
    )
    (line,) = [m for m in figure.marks if isinstance(m, Line)]
    (points,) = [m for m in figure.marks if isinstance(m, Points)]
    assert (list(line.x), list(line.y)) == ([1.0, 2.0], [2.0, 5.0])
    assert (list(points.x), list(points.y)) == ([1.0, 1.0, 2.0, 2.0], [1.0, 2.0, 3.0, 5.0])
    assert figure.x.label == "epoch"
