"""Verification of a store: every file checked, damaged ones named and set aside, nothing else touched."""

from __future__ import annotations

import pytest

from landscape.base.summaries import Summaries
from landscape.errors import StoreError
from landscape.store import consolidate
from landscape.store.files import stamp_of, write_bytes
from landscape.store.netcdf import image
from landscape.store.records import record
from landscape.store.verify import set_aside, verify


def flip(path, place=700):
    data = bytearray(path.read_bytes())
    data[place] ^= 4
    path.write_bytes(data)


def test_a_whole_store_has_no_fault(store):
    """Oracle: a store just written; the files that are there."""
    consolidate(store)
    seen = []
    verdicts = verify(store.directory, lambda done, total, path: seen.append((done, total)))
    records = {"key2.failed.json", "held.json", "zoo.json"}
    assert {v.path.name for v in verdicts} == {"key0.h5", "key1.h5", "zoo.h5"} | records
    assert all(not v.fault and v.has_digest for v in verdicts)
    assert seen == [(k, 6) for k in range(6)]


def test_what_sums_up_results_is_a_record(store):
    """Oracle: the file as a run leaves it, and one of another form."""
    kept = Summaries(store)
    kept.put("toy", "key0", stamp_of(store.path("toy", "key0")), {"a": 1.0, "word": "b"})
    kept.write()
    assert not any(v.fault for v in verify(store.directory))
    text = record({"code": {"toy/key0": [1, 2, {"a": 1.0}]}})
    (store.directory / "metrics.json").write_text(text)
    assert [v.path.name for v in verify(store.directory) if v.fault] == ["metrics.json"]


def test_damaged_files_are_named_and_set_aside(store):
    """Oracle: which files were changed, and whose result the snapshot says they are."""
    consolidate(store)
    flip(store.path("toy", "key1"))
    flip(store.consolidated)
    (store.directory / "toy" / "key2.failed.json").write_text("[")
    damaged = {v.path.name: v for v in verify(store.directory) if v.fault}
    assert set(damaged) == {"key1.h5", "zoo.h5", "key2.failed.json"}
    assert damaged["key1.h5"].subject == "my toy of m0"
    assert str(store.path("toy", "key1")) in damaged["key1.h5"].fault
    before = store.path("toy", "key1").read_bytes()
    assert set_aside(store.path("toy", "key1")).read_bytes() == before
    assert not store.has("toy", "key1")


def test_files_of_older_versions_are_read_and_counted(store, result):
    """Oracle: the bytes that older versions wrote; half of them is damage that HDF5 itself tells."""
    older = image(result())
    write_bytes(store.path("toy", "key0"), older)
    write_bytes(store.path("toy", "key1"), older[: len(older) // 2])
    found = {v.path.name: v for v in verify(store.directory)}
    assert (found["key0.h5"].fault, found["key0.h5"].has_digest) == ("", False)
    assert "damaged" in found["key1.h5"].fault


def test_what_is_no_store_is_a_sentence(tmp_path):
    """Oracle: the folders named."""
    with pytest.raises(StoreError, match="no store"):
        verify(tmp_path / "nowhere")
    with pytest.raises(StoreError, match="no results"):
        verify(tmp_path)


def test_consolidation_says_what_it_leaves_out(store):
    """Oracle: the file that was changed."""
    flip(store.path("toy", "key1"))
    said = []
    consolidate(store, said.append)
    assert len(said) == 1 and "my toy of m0 is left out" in said[0]
