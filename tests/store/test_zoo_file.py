"""The consolidated file: the single results in one, whatever happens while it is written."""

from __future__ import annotations

import subprocess
import sys

import h5py
import numpy as np
import pytest
import xarray as xr

from landscape.errors import StoreError
from landscape.store import Store, consolidate, open, read_field


def test_consolidated_file(store):
    """Oracle: the single files, and plain xarray and h5py as readers."""
    path = consolidate(store)
    assert path == store.directory / "zoo.h5"
    for model, key in (("m1", "key0"), ("m0", "key1")):
        single = store.read("toy", key)
        with xr.open_dataset(path, group=f"my toy/{model}", engine="h5netcdf") as plain:
            assert plain.equals(single)
            assert plain["y"].attrs == {"units": "nat"}
            assert plain["x"].attrs == {"units": "s"}
            assert plain.attrs["label"] == "my toy"
        merged = open(path, group=f"my toy/{model}")
        assert merged["y"].values.tobytes() == single["y"].values.tobytes()
    with h5py.File(path) as file:
        assert list(file["my toy"]) == ["m0", "m1"]
        assert file["my toy/m1/y"].dims[0][0].name == "/my toy/m1/x"
        assert file["my toy/m1"].attrs["group"] == "g"
    assert consolidate(store) == path  # and again, in place of the former


def test_consolidation_on_a_full_disk_keeps_the_former_file(store):
    """Oracle: the operating system refuses the write; bytes and listing are as before.

    In a process of its own, since HDF5 may hold on to a file that it could not write.
    """
    path = consolidate(store)
    before = path.read_bytes()
    listing = sorted(f.name for f in store.directory.iterdir())
    code = (
        "import resource, sys; from landscape.store import *; from landscape.errors import *\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "try: consolidate(Store(sys.argv[1]))\n"
        "except StoreError as error: print(error)"
    )
    out = subprocess.run([sys.executable, "-c", code, str(store.directory)], capture_output=True, text=True)
    assert "zoo.h5' cannot be written" in out.stdout, out.stderr
    assert out.returncode == 0
    assert path.read_bytes() == before
    assert sorted(f.name for f in store.directory.iterdir()) == listing


def test_one_field_of_all_results(store):
    """Oracle: the single files."""
    store.write(
        xr.Dataset({"ok": (("x",), [True, False]), "who": (("x",), ["a", "é"])}, attrs={"analysis": "toy"}),
        "key2",
    )
    consolidate(store)
    field = read_field(store.consolidated, "my toy", "y")
    assert list(field) == ["m0", "m1"]
    for model, key in (("m1", "key0"), ("m0", "key1")):
        assert field[model].tobytes() == store.read("toy", key)["y"].values.tobytes()
    assert read_field(store.consolidated, "my toy", "ok")["m2"].tolist() == [True, False]
    assert read_field(store.consolidated, "my toy", "ok")["m2"].dtype == bool
    assert read_field(store.consolidated, "my toy", "who")["m2"].tolist() == ["a", "é"]
    assert read_field(store.consolidated, "my toy", "nothing") == {}
    with pytest.raises(StoreError, match="no section 'mytoy'; did you mean 'my toy'"):
        read_field(store.consolidated, "mytoy", "y")


def test_a_field_before_consolidation(tmp_path):
    with pytest.raises(StoreError, match=r"zoo\.h5' cannot be read"):
        read_field(Store(tmp_path).consolidated, "a", "b")


def test_no_two_dimensions_of_the_file_have_one_number(tmp_path):
    """Oracle: the rule of netCDF-4's format: its library takes equal numbers for one dimension.

    With such numbers in each group, it read two values of a line's 21 (netCDF4 1.7.5, libnetcdf 4.10.1).
    """
    store = Store(tmp_path)
    for k, size in enumerate((3, 5, 2)):
        attrs = {"analysis": "toy", "label": "toy", "model": f"m{k}"}
        values = {"y": (("a", "b"), np.zeros((size, 2))), "z": ("b", np.zeros(2))}
        store.write(xr.Dataset(values, coords={"a": np.arange(size)}, attrs=attrs), f"k{k}")
    numbers = []
    with h5py.File(consolidate(store)) as file:
        for group in file["toy"].values():
            mine = [
                int(np.ravel(v.attrs["_Netcdf4Dimid"])[0])
                for v in group.values()
                if "_Netcdf4Dimid" in v.attrs
            ]
            assert len(mine) == 2
            numbers += mine
    assert sorted(numbers) == list(range(6))
    assert open(store.consolidated, group="toy/m1")["y"].shape == (5, 2)
