"""The consolidated file: the single results in one, whatever happens while it is written."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import h5py
import numpy as np
import pytest
import xarray as xr

from landscape.errors import StoreError
from landscape.store import Store, consolidate, open, read_field, zoo_file
from landscape.store.records import ModelRecord


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


def groups_of(path):
    """All of a consolidated file by xarray: values, dimensions, coordinates and attributes of each group."""
    with h5py.File(path) as file:
        places = [f"{label}/{subject}" for label in file for subject in file[label]]
    return {place: open(path, group=place).load() for place in places}


def numbers_of(path):
    with h5py.File(path) as file:
        variables = [v for label in file.values() for group in label.values() for v in group.values()]
        return [int(np.ravel(v.attrs["_Netcdf4Dimid"])[0]) for v in variables if "_Netcdf4Dimid" in v.attrs]


def test_what_is_there_stays_and_what_is_new_is_added(store, monkeypatch):
    """Oracle: the file that is made anew of the same store; copies are counted."""
    copied = []
    real = zoo_file._copy
    monkeypatch.setattr(zoo_file, "_copy", lambda path, *rest: copied.append(path.name) or real(path, *rest))
    result = store.read("toy", "key0")
    for index in range(4, 12):
        store.write(result.assign(y=result["y"] + index), f"key{index}")
    models = {f"m{i}": f"key{i}" for i in range(12)}
    models["m1"], models["m0"] = "key0", "key1"

    def say(tasks, **tags):
        known = store.read_snapshot()
        records = tuple(ModelRecord(name, "g", None, tags) for name in tasks)
        section = replace(known.sections[0], tasks=tasks)
        store.write_snapshot(replace(known, models=records, sections=(section,)))

    def check(expected):
        copied.clear()
        path = consolidate(store)
        assert sorted(copied) == sorted(f"{key}.h5" for key in expected)
        found, numbers = groups_of(path), numbers_of(path)
        (store.directory / "held.json").unlink()
        anew = groups_of(consolidate(store))
        assert found.keys() == anew.keys() and len(found) == len(anew) > 5
        for place, ds in anew.items():
            xr.testing.assert_identical(found[place], ds)
        assert len(set(numbers)) == len(numbers) == len(found)

    say({k: v for k, v in models.items() if k != "m11"})
    check([f"key{i}" for i in range(11) if i not in (2, 3)])
    say(models)
    check(["key11"])
    store.write(result.assign(y=result["y"] * 9), "key5")
    check(["key5"])
    say({k: v for k, v in models.items() if k != "m7"})
    check([])
    say({k: v for k, v in models.items() if k != "m7"}, width=3)
    check([f"key{i}" for i in (0, 1, 4, 5, 6, 8, 9, 10, 11)])
    # One that another program wrote to, and one that lost a bit, are made anew.
    with h5py.File(store.consolidated, "r+") as file:
        del file["my toy/m5"]
    check([f"key{i}" for i in (0, 1, 4, 5, 6, 8, 9, 10, 11)])
    data = bytearray(store.consolidated.read_bytes())
    status = store.consolidated.stat()
    data[len(data) // 2] ^= 1
    store.consolidated.write_bytes(bytes(data))
    os.utime(store.consolidated, ns=(status.st_atime_ns, status.st_mtime_ns))
    check([f"key{i}" for i in (0, 1, 4, 5, 6, 8, 9, 10, 11)])


def test_a_file_of_holes_is_made_anew(store):
    """Oracle: the size of the file after many changes of one result, against that of one made once."""
    result = store.read("toy", "key0")
    consolidate(store)
    least = store.consolidated.stat().st_size
    for index in range(12):
        store.write(result.assign(y=result["y"] + index), "key0")
        consolidate(store)
        assert store.consolidated.stat().st_size < 2.5 * least
    assert float(open(store.consolidated, group="my toy/m1")["y"][0]) == float(result["y"][0]) + 11
