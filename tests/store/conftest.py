"""A store of two results, one failure and one task not done."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from landscape.store import Failure, ModelRecord, SectionRecord, Snapshot, Store


def make_result(model="m0", label="toy", value=1.0, **attrs):
    return xr.Dataset(
        {"y": (("x",), np.array([value, np.nan, -0.0]), {"units": "nat"})},
        coords={"x": ("x", np.arange(3.0), {"units": "s"})},
        attrs={"analysis": "toy", "label": label, "model": model, "parameters": '{"k":5}'} | attrs,
    )


@pytest.fixture
def result():
    """Makes a result of the toy analysis."""
    return make_result


@pytest.fixture
def store(tmp_path):
    """Two results, one failure and one task not done."""
    store = Store(tmp_path / "results")
    models = (
        ModelRecord("m1", "g", 1, {"width": 8}, {"test_accuracy": 0.9}, "m1.pt"),
        ModelRecord("m0", "g", 0),
        ModelRecord("m2", "h"),
        ModelRecord("m3", "h"),
    )
    tasks = {m.name: f"key{i}" for i, m in enumerate(models)}
    section = SectionRecord("my toy", "toys:toy", "toy", {"k": 5}, tasks)
    store.write_snapshot(Snapshot("my zoo", models, (section,)))
    store.write(make_result("m1", tags="{}", group="old"), "key0")
    store.write(make_result("m0", value=2.0), "key1")
    store.fail(Failure("my toy", "toy", "m2", "key2", "the file is damaged.", "checkpoint"))
    return store
