"""Merged checkpoints as files: the record beside them, and sources that cannot be merged."""

from __future__ import annotations

import json

import pytest
import torch

from landscape.core.merging.merge import Merged
from landscape.errors import InputError
from landscape.zoo.writing.merged_file import merge_files, write_merged


def test_heads_of_other_sizes_are_named_by_file(tmp_path):
    """Oracle: by hand."""
    for name, classes in (("a.pt", 10), ("b.pt", 100)):
        torch.save({"fc.weight": torch.zeros(classes, 3)}, tmp_path / name)
    with pytest.raises(InputError, match=r"a\.pt.*heads of other sizes"):
        merge_files([tmp_path / "a.pt", tmp_path / "b.pt"], "mean")


def test_tensors_that_share_memory_are_written_apart(tmp_path):
    """Oracle: safetensors refuses shared memory; torch's own reader finds both names with one value."""
    from safetensors.torch import load_file

    weight = torch.arange(6.0).reshape(2, 3)
    merged = Merged({"a": weight, "b": weight, "c": weight.T}, "mean", ("a note",))
    source = tmp_path / "s.pt"
    torch.save({"a": weight}, source)
    beside = write_merged(merged, tmp_path / "m.safetensors", [source], facts={"align": "weights"})
    read = load_file(tmp_path / "m.safetensors")
    assert all(torch.equal(read[name], merged.state[name]) for name in "abc")
    record = json.loads(beside.read_text("utf-8"))
    assert (record["notes"], record["align"], record["sources"][0]["file"]) == (["a note"], "weights", "s.pt")
    with pytest.raises(InputError, match="ends in"):
        write_merged(merged, tmp_path / "m.bin", [source])
