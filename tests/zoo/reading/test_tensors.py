"""Tensors within their bytes: as torch makes them, and never beyond."""

from __future__ import annotations

import pytest
import torch

from landscape.zoo.reading.stubs import Budget, DamagedError, RefusedError
from landscape.zoo.reading.tensors import (
    Storage,
    StorageKind,
    layered,
    quantised,
    rebuilt,
    storage_kind,
    typed,
)

DATA = torch.arange(12.0)
STORAGE = Storage(StorageKind(torch.float32), DATA.untyped_storage())


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (0, (12,), (1,)),
        (2, (2, 3), (3, 1)),
        (1, (3, 2), (1, 3)),
        (5, (), ()),
        (0, (3, 4), (0, 1)),
        (12, (0,), (1,)),
    ],
)
def test_views_are_torch_s(offset, size, stride):
    """Oracle: ``torch.as_strided`` on the same entries."""
    made = rebuilt(Budget(1000), STORAGE, offset, size, stride, False, {})
    assert torch.equal(made, DATA.as_strided(size, stride, offset))
    assert made.stride() == stride


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [(0, (13,), (1,)), (1, (12,), (1,)), (0, (2, 2), (12, 1)), (13, (0,), (1,)), (0, (1 << 40,), (0,))],
)
def test_what_reaches_beyond_the_bytes_is_refused(offset, size, stride):
    """Oracle: the last entry counted by hand, or more entries than the file has bytes."""
    with pytest.raises(RefusedError):
        rebuilt(Budget(1000), STORAGE, offset, size, stride)
    with pytest.raises(RefusedError):
        quantised(Budget(1000), STORAGE, offset, size, stride)


@pytest.mark.parametrize(
    ("storage", "offset", "size", "stride"),
    [
        (None, 0, (1,), (1,)),
        (STORAGE, -1, (1,), (1,)),
        (STORAGE, 0, (-1,), (1,)),
        (STORAGE, 0, (1,), (-1,)),
        (STORAGE, 0, (1,), ()),
        (STORAGE, 0, (1.5,), (1,)),
        (STORAGE, 0, 1, 1),
        (STORAGE, 0, (1,) * 100, (1,) * 100),
        (STORAGE, 0, (1 << 70,), (1,)),
    ],
)
def test_what_is_no_shape_is_damage(storage, offset, size, stride):
    """Oracle: torch has no such tensor."""
    with pytest.raises(DamagedError):
        rebuilt(Budget(1000), storage, offset, size, stride)


def test_classes_of_storages_by_name():
    """Oracle: torch's own table of them."""
    for name in ("Double", "Float", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool"):
        kind = storage_kind(f"{name}Storage")
        assert kind is not None
        assert torch.storage._dtype_to_storage_type_map()[kind.dtype] == f"{name}Storage"
    assert storage_kind("Storage") is None
    assert typed("load") is None


def test_a_tensor_of_a_class_without_its_function_stays_a_stub():
    """Oracle: the form that torch writes."""
    assert layered(None, None, (1,)).arguments == (1,)
