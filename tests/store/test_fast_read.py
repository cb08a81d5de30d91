"""Quick reading gives what xarray gives, for files of ours and of others."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from stored import every_kind

from landscape.errors import StoreError
from landscape.store.fast_read import read
from landscape.store.files import open as open_file
from landscape.store.files import save
from landscape.store.netcdf import WRITTEN_HERE


def test_files_of_ours_are_read_as_xarray_reads_them(tmp_path: Path) -> None:
    """Oracle: xarray with h5netcdf: values, types, dimensions, coordinates and attributes."""
    save(every_kind(), tmp_path / "a.h5")
    found, expected = read(tmp_path / "a.h5"), open_file(tmp_path / "a.h5")
    xr.testing.assert_identical(found, expected)
    for name in expected.variables:
        assert found[name].dtype == expected[name].dtype
    assert {k: type(v) for k, v in found.attrs.items()} == {k: type(v) for k, v in expected.attrs.items()}


def test_files_of_others_are_read_by_xarray(tmp_path: Path) -> None:
    """Oracle: the dataset that xarray itself wrote."""
    ds = every_kind().drop_vars(["t", "flag"])
    ds.to_netcdf(tmp_path / "b.h5", engine="h5netcdf")
    xr.testing.assert_equal(read(tmp_path / "b.h5"), ds)


def test_a_damaged_file_is_told_as_ever(tmp_path: Path) -> None:
    """Oracle: the error of `landscape.open`."""
    save(every_kind(), tmp_path / "c.h5")
    data = (tmp_path / "c.h5").read_bytes()
    (tmp_path / "c.h5").write_bytes(data[: len(data) // 2])
    with pytest.raises(StoreError, match="damaged"):
        read(tmp_path / "c.h5")
    with pytest.raises(StoreError, match="no file"):
        read(tmp_path / "nowhere.h5")


def test_what_was_never_written_is_zero_and_not_what_lay_in_memory(tmp_path: Path) -> None:
    """Oracle: zeros, as h5py reads it; memory of that size is filled with another number before."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["_NCProperties"] = WRITTEN_HERE
        made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        made.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space = h5py.h5s.create_simple((4,))
        h5py.h5d.create(file.id, b"a", h5py.h5t.IEEE_F64LE, space, made)
    for _ in range(5):
        junk = [np.full(4, 7.25) for _ in range(50)]
        del junk
        assert read(tmp_path / "a.h5")["a"].values.tolist() == [0.0] * 4


def test_a_size_that_wraps_around_is_refused(tmp_path: Path) -> None:
    """Oracle: 2^32 times 2^32 numbers, which HDF5 counts as none, by hand."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["_NCProperties"] = WRITTEN_HERE
        file.create_dataset("a", (2**32, 2**32), dtype="f4", chunks=(1, 1))
    with pytest.raises(StoreError, match="declares 18,446,744,073,709,551,616 numbers"):
        read(tmp_path / "a.h5")
