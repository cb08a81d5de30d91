"""Headers of safetensors that claim what is not there."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

from landscape.errors import CheckpointError
from landscape.zoo.checkpoint import load_checkpoint
from landscape.zoo.reading.safetensors_header import check_header
from landscape.zoo.reading.stubs import DamagedError


def written(path, header, data=b"\0" * 8, length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
    return path


def entry(shape=(2,), ends=(0, 8), dtype="F32"):
    return {"a": {"dtype": dtype, "shape": list(shape), "data_offsets": list(ends)}}


@pytest.mark.parametrize(
    ("header", "length"),
    [
        (entry(), 1 << 62),
        (entry(), 100),
        (entry(ends=(0, 1 << 50)), None),
        (entry(shape=(1 << 40,)), None),
        (entry(shape=(-1,)), None),
        (entry(ends=(8, 0)), None),
        (entry(shape=(1,) * 100), None),
        (entry(ends=(0,)), None),
        ({"a": 1}, None),
        ([1], None),
        (b"[" * 100_000, None),
        (b"\xff\xfe", None),
    ],
)
def test_what_declares_more_than_there_is(header, length, tmp_path):
    """Oracle: each is built so."""
    path = written(tmp_path / "x.safetensors", header, length=length)
    with pytest.raises(DamagedError):
        check_header(path)
    with pytest.raises(CheckpointError, match=r"x\.safetensors' is truncated or damaged"):
        load_checkpoint(path)


def test_files_as_they_are_written(tmp_path):
    """Oracle: safetensors itself."""
    save_file(
        {"a": torch.ones(3, 2), "b": torch.zeros(0)}, tmp_path / "x.safetensors", metadata={"format": "pt"}
    )
    check_header(tmp_path / "x.safetensors")
