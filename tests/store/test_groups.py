"""Groups: what is read directly is what xarray reads."""

from __future__ import annotations

import h5py
import xarray as xr
from stored import every_kind

from landscape.store import Store, consolidate, open, save


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
