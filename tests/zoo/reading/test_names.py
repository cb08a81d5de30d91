"""The table of names: what it makes is landscape's own, and every other name is only noted."""

from __future__ import annotations

import sys

import pytest
import torch

from landscape.zoo.reading.names import Names
from landscape.zoo.reading.stubs import Budget, DamagedError, Name
from landscape.zoo.reading.tensors import StorageKind

UNKNOWN = [
    ("os", "system"),
    ("builtins", "eval"),
    ("builtins", "getattr"),
    ("torch", "load"),
    ("torch", "hub"),
    ("torch.storage", "TypedStorage._free_weak_ref"),
    ("torch._utils", "_rebuild_nested_tensor"),
    ("numpy", "load"),
    ("a.module.that.is.nowhere", "x"),
]


def names():
    unknown = {}
    return Names(Budget(1000), lambda data: data, unknown), unknown


@pytest.mark.parametrize(("module", "name"), UNKNOWN)
def test_other_names_are_noted_and_not_looked_up(module, name):
    """Oracle: the modules that were loaded before."""
    table, unknown = names()
    before = set(sys.modules)
    found = table(module, name)
    assert isinstance(found, Name)
    assert found.make is None
    assert list(unknown) == [f"{module}.{name}"]
    assert set(sys.modules) == before


def test_types_of_entries_are_torch_s():
    """Oracle: torch's own."""
    table, unknown = names()
    assert table("torch", "float16") is torch.float16
    assert table("torch", "channels_last") is torch.channels_last
    assert table("torch", "FloatStorage") == StorageKind(torch.float32)
    assert table("torch.cuda", "HalfStorage") == StorageKind(torch.float16)
    assert table("torch", "Size").make((2, 3)) == torch.Size([2, 3])
    assert unknown == {}


@pytest.mark.parametrize(
    ("module", "name", "arguments"),
    [
        ("builtins", "bytearray", (10**10,)),
        ("builtins", "bytes", (10**10,)),
        ("builtins", "list", (10,)),
        ("_codecs", "encode", ("a", "hex")),
        ("_codecs", "encode", (b"a", "latin1")),
        ("torch", "Size", ((1 << 70,),)),
        ("numpy", "ndarray", ((10**10,),)),
        ("torch.storage", "_load_from_bytes", (1,)),
        ("builtins", "complex", ("1",)),
    ],
)
def test_arguments_that_are_not_what_a_checkpoint_has(module, name, arguments):
    """Oracle: no file of torch.save or pickle has such a call."""
    table, _ = names()
    with pytest.raises(DamagedError):
        table(module, name).make(*arguments)


def test_bytes_of_older_pickles():
    """Oracle: Python's own encoding."""
    table, _ = names()
    assert table("_codecs", "encode").make("aÿ", "latin1") == b"a\xff"
    assert table("__builtin__", "bytearray").make("aÿ", "latin-1") == b"a\xff"
