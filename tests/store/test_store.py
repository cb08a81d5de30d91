"""The store: keys by content, failures, consolidation, and contents from files alone."""

from __future__ import annotations

import json
import subprocess
import sys

import h5py
import numpy as np
import pytest
import xarray as xr

from landscape.errors import StoreError
from landscape.store import (
    Failure,
    ModelRecord,
    SectionRecord,
    Snapshot,
    Store,
    open,
    read_contents,
    task_key,
)

FACTS = {"checkpoint": "abc", "data": "def", "problem": {"weight_decay": 0.0}}


def result(model="m0", label="toy", value=1.0, **attrs):
    return xr.Dataset(
        {"y": (("x",), np.array([value, np.nan, -0.0]), {"units": "nat"})},
        coords={"x": ("x", np.arange(3.0), {"units": "s"})},
        attrs={"analysis": "toy", "label": label, "model": model, "parameters": '{"k":5}'} | attrs,
    )


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
    store.write(result("m1", tags="{}", group="old"), "key0")
    store.write(result("m0", value=2.0), "key1")
    store.fail(Failure("my toy", "toy", "m2", "key2", "the file is damaged.", "checkpoint"))
    return store


def test_keys_follow_content():
    """Oracle: each fact changed alone must change the key; order of entries must not."""
    key = task_key("toy", 1, '{"k": 5, "seed": 0}', FACTS)
    assert key == task_key("toy", 1, '{"seed": 0, "k": 5}', dict(reversed(FACTS.items())))
    others = {
        task_key("toz", 1, '{"k": 5, "seed": 0}', FACTS),
        task_key("toy", 2, '{"k": 5, "seed": 0}', FACTS),
        task_key("toy", 1, '{"k": 6, "seed": 0}', FACTS),
        task_key("toy", 1, '{"k": 5, "seed": 0}', FACTS | {"checkpoint": "abd"}),
        task_key("toy", 1, '{"k": 5, "seed": 0}', FACTS | {"problem": {"weight_decay": 0.1}}),
    }
    assert len(others | {key}) == 6
    assert len(key) == 32


def test_keys_are_the_same_in_another_process():
    """Oracle: a fresh interpreter with another hash seed."""
    code = f"from landscape.store import task_key; print(task_key('toy', 1, '{{}}', {FACTS!r}))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == task_key("toy", 1, "{}", FACTS)


def test_write_clears_failure_and_partial(store):
    store.partial("toy", "key2").write_bytes(b"half")
    assert not store.has("toy", "key2")
    store.write(result("m2"), "key2")
    assert store.has("toy", "key2")
    assert store.failures() == []
    assert not store.partial("toy", "key2").exists()
    assert store.read("toy", "key2").identical(result("m2"))


def test_contents(store):
    """Oracle: what the fixture wrote, in the order of the snapshot, with today's group and tags."""
    contents = read_contents(store.directory)
    assert contents.name == "my zoo"
    assert [m.name for m in contents.models] == ["m1", "m0", "m2", "m3"]
    assert contents.models[0].metrics == {"test_accuracy": 0.9}
    (section,) = contents.sections
    assert (section.label, section.analysis, section.parameters) == ("my toy", "toys:toy", {"k": 5})
    assert list(section.results) == ["m1", "m0"]
    assert section.results["m1"].attrs["group"] == "g"
    assert section.results["m1"].attrs["label"] == "my toy"
    assert json.loads(section.results["m1"].attrs["tags"]) == {"width": 8}
    assert [(f.model, f.error) for f in contents.failures] == [("m2", "the file is damaged.")]
    assert contents.missing == 1


def test_contents_without_a_snapshot(store):
    """Oracle: the same results, found from the files alone."""
    (store.directory / "zoo.json").unlink()
    contents = read_contents(store.directory)
    assert list(contents.sections[0].results) == ["m0", "m1"]
    assert contents.sections[0].parameters == {"k": 5}
    assert [f.model for f in contents.failures] == ["m2"]
    assert [m.name for m in contents.models] == ["m1"]


def test_one_label_with_two_sets_of_options_gives_two_sections(store):
    (store.directory / "zoo.json").unlink()
    store.write(result("m1", parameters='{"k":6}'), "key9")
    labels = [s.label for s in read_contents(store.directory).sections]
    assert len(labels) == len(set(labels)) == 2


def test_a_damaged_result_is_listed(store):
    store.path("toy", "key0").write_bytes(b"\x89HDF\r\n\x1a\n and then nothing")
    contents = read_contents(store.directory)
    assert list(contents.sections[0].results) == ["m0"]
    assert "Delete it and run again" in contents.failures[0].error
    assert store.consolidate().exists()


def test_a_broken_snapshot_is_as_none(store):
    for text in ("", "{", "[]", '{"name": "x"}', '{"name":1,"models":[{}],"sections":[]}'):
        (store.directory / "zoo.json").write_text(text)
        assert store.read_snapshot() is None
    assert read_contents(store.directory).sections


@pytest.mark.parametrize("make", [False, True])
def test_no_store(make, tmp_path):
    if make:
        (tmp_path / "s").mkdir()
    with pytest.raises(StoreError, match="no store" if not make else "no results"):
        read_contents(tmp_path / "s")


def test_consolidated_file(store):
    """Oracle: the single files, and plain xarray and h5py as readers."""
    path = store.consolidate()
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
    assert store.consolidate() == path  # and again, in place of the former


def test_consolidation_on_a_full_disk_keeps_the_former_file(store):
    """Oracle: the operating system refuses the write; bytes and listing are as before.

    In a process of its own, since HDF5 may hold on to a file that it could not write.
    """
    path = store.consolidate()
    before = path.read_bytes()
    listing = sorted(f.name for f in store.directory.iterdir())
    code = (
        "import resource, sys; from landscape.store import Store; from landscape.errors import *\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "try: Store(sys.argv[1]).consolidate()\n"
        "except StoreError as error: print(error)"
    )
    out = subprocess.run([sys.executable, "-c", code, str(store.directory)], capture_output=True, text=True)
    assert "zoo.h5' cannot be written" in out.stdout, out.stderr
    assert out.returncode == 0
    assert path.read_bytes() == before
    assert sorted(f.name for f in store.directory.iterdir()) == listing


def test_unwritable_store(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be written"):
        Store(tmp_path / "file").lock()


def test_one_run_holds_the_lock(tmp_path):
    """Oracle: another process cannot take it until it is released."""
    lock = Store(tmp_path).lock()
    with lock.acquire(timeout=0):
        code = (
            "import sys; from landscape.store import Store; from filelock import Timeout\n"
            "try: Store(sys.argv[1]).lock().acquire(timeout=0); print('taken')\n"
            "except Timeout: print('busy')"
        )
        command = [sys.executable, "-c", code, str(tmp_path)]
        assert subprocess.run(command, capture_output=True, text=True).stdout == "busy\n"
    assert subprocess.run(command, capture_output=True, text=True).stdout == "taken\n"


@pytest.mark.parametrize(
    "error", [TimeoutError(110, "Connection timed out"), OSError(5, "Input/output error")]
)
def test_trouble_with_the_disk_of_a_claim_is_one_sentence(error, monkeypatch, tmp_path):
    """Oracle: the text of the system's error, which a network file system that hangs gives too."""
    import filelock

    def acquire(self, **_):
        raise error

    monkeypatch.setattr(filelock.FileLock, "acquire", acquire)
    with (
        pytest.raises(StoreError, match=rf"k\.lock' cannot be written: {error.strerror}"),
        Store(tmp_path).claim("total", "k"),
    ):
        pass


def test_reading_a_store_needs_no_torch():
    """Oracle: the modules that a fresh interpreter has loaded."""
    code = "import sys, landscape.store; print('torch' in sys.modules, 'xarray' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "False"]


def test_one_field_of_all_results(store):
    """Oracle: the single files."""
    store.write(
        xr.Dataset({"ok": (("x",), [True, False]), "who": (("x",), ["a", "é"])}, attrs={"analysis": "toy"}),
        "key2",
    )
    store.consolidate()
    field = store.field("my toy", "y")
    assert list(field) == ["m0", "m1"]
    for model, key in (("m1", "key0"), ("m0", "key1")):
        assert field[model].tobytes() == store.read("toy", key)["y"].values.tobytes()
    assert store.field("my toy", "ok")["m2"].tolist() == [True, False]
    assert store.field("my toy", "ok")["m2"].dtype == bool
    assert store.field("my toy", "who")["m2"].tolist() == ["a", "é"]
    assert store.field("my toy", "nothing") == {}
    with pytest.raises(StoreError, match="no section 'mytoy'; did you mean 'my toy'"):
        store.field("mytoy", "y")


def test_a_field_before_consolidation(tmp_path):
    with pytest.raises(StoreError, match=r"zoo\.h5' cannot be read"):
        Store(tmp_path).field("a", "b")
