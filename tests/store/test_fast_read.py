"""Quick reading gives what xarray gives, for files of ours and of others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from landscape.errors import StoreError
from landscape.store.fast_read import read
from landscape.store.files import open as open_file
from landscape.store.files import save


def every_kind() -> xr.Dataset:
    return xr.Dataset(
        {
            "f": (("a", "b"), np.array([[1.0, np.nan], [np.inf, -0.0]]), {"units": "m", "long_name": "é"}),
            "i": ("a", np.array([1, 2], dtype=np.int32)),
            "t": ("b", np.array([True, False])),
            "s": ("a", np.array(["x", "longer"])),
            "one": ((), 2.5, {"scale": 3, "pair": np.array([1.0, 2.0])}),
            "flag": ((), np.bool_(True)),
            "word": ((), "text"),
        },
        coords={"a": [0.5, 1.5], "side": ("a", np.array(["l", "r"]))},
        attrs={"analysis": "x", "seed": 3, "list": ["p", "q"]},
    )


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
