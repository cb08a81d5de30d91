"""Records: what a store remembers beside results, as JSON that later versions must still read."""

from __future__ import annotations

import json

import pytest

from landscape.store import ModelRecord, SectionRecord, Snapshot, read_contents
from landscape.store.records import parsed, record

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
    """Oracle: the text of a ``zoo.json`` that version 0.1.0 wrote, to which a digest came since."""
    model = ModelRecord("m0", "g", 1, {"made": "2024-01-02"}, {"test_accuracy": 0.9}, "m0.pt")
    snapshot = Snapshot(
        "my zoo", (model,), (SectionRecord("my toy", "toys:toy", "toy", {"k": 5}, {"m0": "key0"}),)
    )
    first, digest, *others = snapshot.to_json().split("\n")
    assert "\n".join([first, *others]) == JSON
    assert digest.startswith(' "sha256": "')
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


def test_no_flipped_bit_of_a_record_passes():
    """Oracle: the text before, of which one bit differs: each of them is an error, of any of its lines."""
    model = ModelRecord("m0", tags={"width": 8}, metrics={"test_accuracy": 0.9})
    section = SectionRecord("toy", "toy", "toy", {"k": 5}, {"m0": "key0"})
    text = Snapshot("zoo", (model,), (section,), {"my.py": "0f"}, "ab", (Snapshot("y", (), ()),)).to_json()
    data = text.encode()
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ValueError):
            parsed(bytes(flipped).decode())


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize(
    "data", [{}, {"a": 1}, {"sha256": "a path", "ü": [1, {"b": None}], "c": float("inf")}]
)
def test_a_record_is_json_and_reads_back(data, indent):
    """Oracle: Python's own reader of JSON, which sees the digest as one more entry."""
    text = record(data, indent)
    assert parsed(text) == data
    assert set(json.loads(text)) == {*data, *({"sha256"} if data else ())}
    assert parsed(json.dumps(data)) == data  # of older versions, or written by hand


def test_zoos_of_one_store():
    """Oracle: the manifests that they are of, by hand; that of a version without them is replaced."""
    a, b, old = (
        Snapshot(name, (), (), source=source) for name, source in (("a", "1"), ("b", "2"), ("o", ""))
    )
    both = b.beside(a.beside(old))
    assert [s.name for s in both.all()] == ["b", "a"]
    assert [s.name for s in Snapshot("a2", (), (), source="1").beside(both).all()] == ["a2", "b"]
    assert Snapshot.from_json(both.to_json()) == both
    assert both.chosen("a") == both.chosen("1") == a
    assert both.chosen("c") is None


def test_changed_code_by_what_is_recorded():
    """Oracle: by hand; what is not recorded on either side is neither changed nor unchanged."""
    zoo = Snapshot("z", (), (), {"my.py": "1", "layers.py": "2"})
    assert zoo.changed('{"my.py": "1"}') == ()
    assert zoo.changed('{"my.py": "0", "layers.py": "2", "gone.py": "3"}') == ("gone.py", "my.py")
    for text in (None, "", "[1]", "{", "[" * 100_000):
        assert zoo.changed(text) == ()
    assert Snapshot("z", (), ()).changed('{"my.py": "1"}') == ()
