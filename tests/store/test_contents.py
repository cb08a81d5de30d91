"""Contents: what a report shows, from the files of a store alone."""

from __future__ import annotations

import json

import pytest

from landscape.errors import StoreError
from landscape.store import consolidate, read_contents


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


def test_one_label_with_two_sets_of_options_gives_two_sections(store, result):
    (store.directory / "zoo.json").unlink()
    store.write(result("m1", parameters='{"k":6}'), "key9")
    labels = [s.label for s in read_contents(store.directory).sections]
    assert len(labels) == len(set(labels)) == 2


def test_a_damaged_result_is_listed(store):
    store.path("toy", "key0").write_bytes(b"\x89HDF\r\n\x1a\n and then nothing")
    contents = read_contents(store.directory)
    assert list(contents.sections[0].results) == ["m0"]
    assert "Run again" in contents.failures[0].error
    assert consolidate(store).exists()


def test_without_a_snapshot_a_damaged_result_is_listed_and_the_newest_is_shown(store, result):
    """Oracle: what was written, and when; names of files sort the other way round."""
    (store.directory / "zoo.json").unlink()
    store.path("toy", "key0").write_bytes(b"\x89HDF\r\n\x1a\n and then nothing")
    for key, day in (("z-older", "2020-01-01"), ("a-newer", "2099-01-01")):
        store.write(result("m0").assign_attrs(created=day), key)
    contents = read_contents(store.directory)
    assert [f.model for f in contents.failures if f.kind == "store"] == ["key0"]
    (shown,) = {s.results["m0"].attrs["created"] for s in contents.sections if "m0" in s.results}
    assert shown == "2099-01-01"


@pytest.mark.parametrize("make", [False, True])
def test_no_store(make, tmp_path):
    if make:
        (tmp_path / "s").mkdir()
    with pytest.raises(StoreError, match="no store" if not make else "no results"):
        read_contents(tmp_path / "s")
