"""Records: what a store remembers beside results, as JSON that later versions must still read."""

from __future__ import annotations

import json

import pytest

from landscape.store import ModelRecord, SectionRecord, Snapshot, read_contents

JSON = """{
 "name": "my zoo",
 "models": [
  {
   "name": "m0",
   "group": "g",
   "seed": 1,
   "tags": {
    "made": "2024-01-02"
   },
   "metrics": {
    "test_accuracy": 0.9
   },
   "path": "m0.pt"
  }
 ],
 "sections": [
  {
   "label": "my toy",
   "analysis": "toys:toy",
   "folder": "toy",
   "parameters": {
    "k": 5
   },
   "tasks": {
    "m0": "key0"
   }
  }
 ]
}"""


def test_the_form_of_a_snapshot_stays():
    """Oracle: the text of a ``zoo.json`` that version 0.1.0 wrote."""
    model = ModelRecord("m0", "g", 1, {"made": "2024-01-02"}, {"test_accuracy": 0.9}, "m0.pt")
    snapshot = Snapshot(
        "my zoo", (model,), (SectionRecord("my toy", "toys:toy", "toy", {"k": 5}, {"m0": "key0"}),)
    )
    assert snapshot.to_json() == JSON
    assert Snapshot.from_json(JSON) == snapshot


def test_a_model_needs_only_a_name():
    """Oracle: the defaults that stores of before rely on."""
    short = json.loads(JSON) | {"models": [{"name": "m0"}]}
    assert Snapshot.from_json(json.dumps(short)).models == (ModelRecord("m0", "", None, {}, {}, ""),)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": "x"}', '{"name":1,"models":[{}],"sections":[]}'])
def test_what_is_no_snapshot_raises(text):
    """Oracle: the errors that the docstring names."""
    with pytest.raises((KeyError, TypeError, ValueError)):
        Snapshot.from_json(text)


def test_a_broken_snapshot_is_as_none(store):
    for text in ("", "{", "[]", '{"name": "x"}', '{"name":1,"models":[{}],"sections":[]}'):
        (store.directory / "zoo.json").write_text(text)
        assert store.read_snapshot() is None
    assert read_contents(store.directory).sections


def test_members_of_a_predictive_are_remembered():
    """Oracle: the same record, written and read again."""
    models = (ModelRecord("a"), ModelRecord("both", members=["a", "b"]))
    again = Snapshot.from_json(Snapshot("zoo", models, ()).to_json())
    assert again.models == models
