"""Groups: what is read directly is what xarray reads."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from stored import every_kind

from landscape.store import Store, consolidate, groups, open, save
from landscape.store.netcdf import WRITTEN_HERE


def test_a_group_is_read_as_xarray_reads_it(tmp_path):
    """Oracle: xarray with h5netcdf, which looks at all groups: values, types, order and attributes."""
    store = Store(tmp_path)
    save(every_kind().assign_attrs(analysis="x"), store.path("x", "k"))
    path = consolidate(store)
    with h5py.File(path) as file:
        (group,) = (f"{label}/{name}" for label in file for name in file[label])
    found = open(path, group=group)
    expected = xr.load_dataset(path, group=group, engine="h5netcdf", decode_times=False)
    xr.testing.assert_identical(found, expected)
    assert list(found.variables) == list(expected.variables)
    assert [v.dtype for v in found.variables.values()] == [v.dtype for v in expected.variables.values()]


def test_a_group_of_another_program_is_read_by_xarray(tmp_path):
    """Oracle: the dataset that xarray itself wrote."""
    ds = every_kind().drop_vars(["t", "flag"])
    ds.to_netcdf(tmp_path / "b.h5", group="a/b", engine="h5netcdf")
    xr.testing.assert_equal(open(tmp_path / "b.h5", group="a/b"), ds)


def system_reads():
    """Reads and bytes of this process so far, as the kernel counts them."""
    told = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return np.array([int(told["syscr"]), int(told["rchar"])])


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="the system counts no reads")
def test_a_group_is_read_without_the_others(tmp_path):
    """Oracle: the reads that the kernel counts, of a file that was checked: as many whatever is beside it."""
    counts = {}
    for results in (3, 60):
        store = Store(tmp_path / str(results))
        for index in range(results):
            save(every_kind().assign_attrs(analysis="x"), store.path("x", f"k{index:02d}"))
        path = consolidate(store)
        os.utime(path, ns=(0, 0))  # what was written just now is checked anew each time
        last = f"k{results - 1:02d}"
        with h5py.File(path) as file:
            (group,) = (f"{label}/{name}" for label in file for name in file[label] if name == last)
        open(path, group=group)
        before = system_reads()
        found = open(path, group=group)
        counts[results] = system_reads() - before
        expected = every_kind().assign_attrs(found.attrs)
        xr.testing.assert_identical(found, expected)
    assert np.all(counts[60] < 1.5 * counts[3])


def test_a_scale_that_is_not_beside_its_variable_has_its_name(tmp_path):
    """Oracle: the name of the scale, which is above the group."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        scale = file.create_dataset("above", data=[1.0, 2.0, 3.0])
        scale.make_scale("above")
        group = file.create_group("x/k")
        group.attrs["_NCProperties"] = WRITTEN_HERE
        group["v"] = [4.0, 5.0, 6.0]
        group["v"].dims[0].attach_scale(scale)
    found = open(path, group="x/k")
    assert found["v"].dims == ("above",) and found["v"].values.tolist() == [4.0, 5.0, 6.0]


def test_a_group_is_put_together_as_by_xarray():
    """Oracle: xarray's own constructor, in what it holds, in their order, and in what it refuses."""
    ds = every_kind()
    inner = {name: ds.variables[name] for name in ds.coords}
    rest = {name: ds.variables[name] for name in ds.data_vars}
    found, expected = groups._put_together(rest, inner, ds.attrs), xr.Dataset(rest, inner, ds.attrs)
    xr.testing.assert_identical(found, expected)
    assert list(found.variables) == list(expected.variables) and found.sizes == expected.sizes
    assert list(found.indexes) == list(expected.indexes)
    for name, index in expected.indexes.items():
        assert found.indexes[name].equals(index) and found.indexes[name].dtype == index.dtype
    assert [type(v) for v in found.variables.values()] == [type(v) for v in expected.variables.values()]
    with pytest.raises(ValueError, match="conflicting sizes"):
        groups._put_together({n: xr.Variable("d", np.zeros(n)) for n in (2, 3)}, {}, {})
