"""``landscape show``: what it says of a result of older code."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from landscape.cli.app import app
from landscape.store import SectionRecord, Snapshot, Store, consolidate


@pytest.fixture
def shown(tmp_path):
    store = Store(tmp_path / "results")
    section = SectionRecord("toy", "toy", "toy", {}, {"m0": "k"})
    store.write_snapshot(Snapshot("z", (), (section,), {"my.py": "a", "b.py": "b"}))
    attrs = {"analysis": "toy", "model": "m0", "code": '{"my.py": "a"}'}
    path = store.write(xr.Dataset({"y": ("x", np.arange(2.0))}, attrs=attrs), "k")
    consolidate(store)

    def show(code, *which):
        store.write_snapshot(replace(store.read_snapshot(), code=code))
        out = CliRunner().invoke(app, ["show", *map(str, which)])
        assert out.exit_code == 0, out.output
        return out.output

    return store, path, show


def test_older_code_is_said(shown):
    """Oracle: the hashes that the last run of the store wrote beside the result."""
    store, path, show = shown
    note = "note: this result is of older code (my.py changed since)"
    assert "older code" not in show({"my.py": "a", "b.py": "c"}, path)
    assert note in show({"my.py": "other"}, path)
    assert note in show({"my.py": "other"}, store.consolidated, "--group", "toy/m0")
    assert "older code" not in show({}, path)  # of a version that wrote none


def test_a_result_in_no_store_is_shown(shown, tmp_path):
    _, path, show = shown
    (tmp_path / "alone.h5").write_bytes(path.read_bytes())
    assert "older code" not in show({"my.py": "other"}, tmp_path / "alone.h5")
