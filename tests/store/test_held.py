"""The consolidated file grows by what is new, and is what it would be if it were made anew."""

from __future__ import annotations

import os
from dataclasses import asdict, replace

import h5py
import numpy as np
import pytest
import xarray as xr

from landscape.errors import StoreError
from landscape.store import consolidate, open, zoo_file
from landscape.store.digest import seal
from landscape.store.held import _Record
from landscape.store.records import ModelRecord, record, validated


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


def test_a_section_that_is_gone_leaves_no_empty_group(store):
    """Oracle: the names in a file that is made anew, and the error of a section that is not there."""
    known, result = store.read_snapshot(), store.read("toy", "key0")
    (section,) = known.sections
    for index in range(4, 12):
        store.write(result, f"key{index}")
    more = replace(section, tasks={f"m{i}": f"key{i}" for i in range(4, 12)})
    other = replace(section, label="other", tasks={"m1": "key0"})
    store.write_snapshot(replace(known, sections=(more, other)))
    consolidate(store)
    store.write_snapshot(replace(known, sections=(more,)))
    with h5py.File(consolidate(store)) as file:
        assert list(file) == ["my toy"] and len(file["my toy"]) == 8
    with pytest.raises(StoreError, match="no section 'other'"):
        zoo_file.read_field(store.consolidated, "other", "y")


def test_what_another_run_put_in_its_place_is_not_taken_for_ours(store):
    """Two runs without locks: one remembers its groups beside the file of the other, as long and as old.

    Oracle: the values of the results, by hand.
    """
    result = store.read("toy", "key0")
    status = consolidate(store).stat()
    ours = (store.directory / "held.json").read_bytes()
    with h5py.File(store.consolidated, "r+") as file:
        file["my toy/m1/y"][...] = 77.0
    seal(store.consolidated)
    os.utime(store.consolidated, ns=(status.st_atime_ns, status.st_mtime_ns))
    (store.directory / "held.json").write_bytes(ours)
    assert store.consolidated.stat().st_size == status.st_size
    assert store.consolidated.stat().st_mtime_ns == status.st_mtime_ns
    xr.testing.assert_equal(open(consolidate(store), group="my toy/m1"), result)


@pytest.mark.parametrize("link", [h5py.ExternalLink, lambda name, place: h5py.SoftLink("/aside")])
def test_nothing_is_written_through_a_link_of_a_former_file(store, tmp_path, link):
    """A store that travels: its file says that a section is in a file of the reader.

    Oracle: the bytes of that file, and the groups of a file that is made anew.
    """
    anew = groups_of(consolidate(store))
    with h5py.File(tmp_path / "mine.h5", "w") as file, h5py.File(store.consolidated) as made:
        made.copy("my toy", file)
    mine = (tmp_path / "mine.h5").read_bytes()
    held = validated(_Record, (store.directory / "held.json").read_text())
    with h5py.File(store.consolidated, "r+") as file:
        file.move("my toy", "aside")
        file["my toy"] = link(str(tmp_path / "mine.h5"), "/my toy")
    held = replace(held, file=seal(store.consolidated))
    (store.directory / "held.json").write_text(record(asdict(held)))
    store.write(store.read("toy", "key0") * 5.0, "key2")
    found = groups_of(consolidate(store))
    assert (tmp_path / "mine.h5").read_bytes() == mine
    assert sorted(found) == sorted([*anew, "my toy/m2"])


def test_a_result_whose_dimension_is_elsewhere_is_left_out_alone(store):
    """Oracle: the file without it; what is said names the variable."""
    consolidate(store)
    said = []
    with h5py.File(store.path("toy", "key2"), "w") as file:
        scale = file.create_dataset("deep/d", data=[1.0, 2.0])
        scale.make_scale("d")
        file["v"] = [1.0, 2.0]
        file["v"].dims[0].attach_scale(scale)
    assert sorted(groups_of(consolidate(store, said.append))) == ["my toy/m0", "my toy/m1"]
    assert len(said) == 1 and "dimension of 'v'" in said[0]


def test_a_result_put_in_place_within_a_tick_of_the_clock_is_copied(store):
    """Oracle: the later values; the file has the size and time of the former."""
    consolidate(store)
    path, status = store.path("toy", "key0"), store.path("toy", "key0").stat()
    later = store.read("toy", "key0") * 3.0
    store.write(later.assign_attrs(store.read("toy", "key0").attrs), "key0")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    xr.testing.assert_equal(open(consolidate(store), group="my toy/m1"), later)
