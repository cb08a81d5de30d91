"""A store is read within itself: nothing of another file comes in, nothing is written elsewhere."""

from __future__ import annotations

import json
import os
import shutil

import h5py
import numpy as np
import pytest
import xarray as xr

from landscape.errors import StoreError
from landscape.store.contents import read_contents
from landscape.store.fast_read import read
from landscape.store.files import open as open_file
from landscape.store.files import save
from landscape.store.records import Failure
from landscape.store.store import Store
from landscape.store.within import check_group, check_name, read_text
from landscape.store.zoo_file import consolidate, read_field

SECRET = b"SECRETKEY-0123456789-" * 20


def result(value=1.0):
    ds = xr.Dataset({"loss": ("t", np.full(4, value))}, coords={"t": np.arange(4.0)})
    return ds.assign_attrs(analysis="line", model="a", label="line", parameters="{}", tags="{}")


@pytest.fixture
def place(tmp_path):
    """A store of one result, and beside it a file of the reader's and another result."""
    (tmp_path / "secret.txt").write_bytes(SECRET)
    save(result(7.0), tmp_path / "other.h5")
    save(result(), tmp_path / "store/line/k.h5")
    return tmp_path


def external(file, place):
    del file["loss"]
    file.create_dataset("loss", shape=(4,), dtype="u1", external=[(str(place / "secret.txt"), 0, 4)])


def linked(file, place):
    del file["loss"]
    file["loss"] = h5py.ExternalLink(str(place / "other.h5"), "loss")


def soft(file, place):
    file["more"] = h5py.SoftLink("/loss")


def virtual(file, place):
    del file["loss"]
    layout = h5py.VirtualLayout((4,), "f8")
    layout[...] = h5py.VirtualSource(str(place / "other.h5"), "loss", shape=(4,))
    file.create_virtual_dataset("loss", layout)


def unwritten(file, place):
    file.create_dataset("huge", shape=(400_000_000,), dtype="f8")


@pytest.mark.parametrize("change", [external, linked, soft, virtual, unwritten], ids=lambda c: c.__name__)
def test_what_leads_out_of_a_file_is_refused_at_every_door(change, place):
    """Oracle: the file of the reader's, of which nothing may come in; a sentence names the result."""
    path = place / "store/line/k.h5"
    with h5py.File(path, "r+") as file:
        change(file, place)
    for door in (open_file, read):
        with pytest.raises(StoreError, match=r"k\.h5'.* not read\.$"):
            door(path)
    contents = read_contents(place / "store")
    assert contents.sections == []
    assert "not read" in contents.failures[0].error
    consolidate(Store(place / "store"))
    with h5py.File(place / "store/zoo.h5") as file:
        assert list(file) == []


@pytest.mark.parametrize("change", [external, linked, virtual], ids=lambda c: c.__name__)
def test_what_leads_out_of_a_consolidated_file_is_refused(change, place):
    """Oracle: as above."""
    store = Store(place / "store")
    consolidate(store)
    assert read_field(store.consolidated, "line", "loss")["a"].tolist() == [1.0] * 4
    with h5py.File(store.consolidated, "r+") as file:
        change(file["line/a"], place)
    with pytest.raises(StoreError, match="not read"):
        read_field(store.consolidated, "line", "loss")
    with pytest.raises(StoreError, match="not read"):
        open_file(store.consolidated, "line/a")


def test_a_group_that_is_a_link(place):
    """Oracle: as above; the group itself leads away."""
    with h5py.File(place / "zoo.h5", "w") as file:
        file["line"] = h5py.ExternalLink(str(place / "other.h5"), "/")
    with pytest.raises(StoreError, match="link"):
        open_file(place / "zoo.h5", "line")


@pytest.mark.parametrize("what", ["file", "folder"])
def test_linked_files_and_folders_are_not_read(what, place):
    """Oracle: the result outside, which is whole."""
    store = place / "store"
    if what == "file":
        (store / "line/k.h5").unlink()
        (store / "line/k.h5").symlink_to(place / "other.h5")
    else:
        shutil.move(store / "line", place / "elsewhere")
        (store / "line").symlink_to(place / "elsewhere")
    contents = read_contents(store)
    assert contents.sections == []
    assert "leads out of the store" in contents.failures[0].error


def test_nothing_is_written_through_a_linked_folder(place):
    """Oracle: the folder outside, which stays as it is."""
    (place / "outside").mkdir()
    store = Store(place / "store")
    shutil.rmtree(place / "store/line")
    (place / "store/line").symlink_to(place / "outside")
    with pytest.raises(StoreError, match="is a link"):
        store.write(result(), "k")
    with pytest.raises(StoreError, match="is a link"):
        store.fail(Failure("line", "line", "a", "k", "no", "error"))
    with pytest.raises(StoreError, match="is a link"), store.claim("line", "k"):
        pass
    assert os.listdir(place / "outside") == []  # noqa: PTH208 - also what is hidden


def snapshot(**changes):
    section = {"label": "l", "analysis": "line", "folder": "line", "parameters": {}, "tasks": {"a": "k"}}
    return {"name": "z", "models": [{"name": "a"}], "sections": [section | changes]}


@pytest.mark.parametrize(
    "changes",
    [
        {"folder": "../../"},
        {"folder": ".."},
        {"folder": "/etc"},
        {"folder": "a\\b"},
        {"tasks": {"a": "../../other"}},
        {"tasks": {"a": "k\u0000"}},
        {"folder": ""},
    ],
)
def test_records_that_name_another_folder(changes, place):
    """Oracle: each leads out of the store; one sentence says which file says so."""
    (place / "store/zoo.json").write_text(json.dumps(snapshot(**changes)))
    with pytest.raises(StoreError, match=r"zoo\.json' names .* not read\.$") as caught:
        read_contents(place / "store")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 200_000,
        "null",
        "[]",
        '{"name": 1}',
        json.dumps(snapshot(tasks=[1])),
        json.dumps(snapshot(folder=3)),
    ],
)
def test_records_that_are_none(text, place):
    """Oracle: the result itself, which is read without them."""
    for name in ("zoo.json", "hashes.json", "line/x.failed.json"):
        (place / "store" / name).write_text(text)
    contents = read_contents(place / "store")
    assert contents.sections[0].results["a"]["loss"].values.tolist() == [1.0] * 4
    assert Store(place / "store").read_hashes() == {}
    assert Store(place / "store").failures() == []


@pytest.mark.parametrize("attributes", [{"tags": "{"}, {"parameters": "[" * 100_000}, {"model_seed": "x"}])
def test_attributes_that_say_nothing(attributes, place):
    """Oracle: damaged by hand; the result is listed and nothing raises."""
    save(result().assign_attrs(attributes), place / "store/line/k.h5")
    assert "attributes are damaged" in read_contents(place / "store").failures[0].error


def test_a_record_is_a_file(tmp_path):
    """Oracle: a named pipe, which nobody writes to."""
    os.mkfifo(tmp_path / "zoo.json")
    with pytest.raises(ValueError, match="no record"):
        read_text(tmp_path / "zoo.json")


def test_plain_files_and_names_pass(place):
    """Oracle: a result as it is written."""
    check_name("line", place)
    with h5py.File(place / "other.h5") as file:
        check_group(file, place / "other.h5", depth=3)
