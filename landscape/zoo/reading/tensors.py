"""Tensors and storages in pickles: views of bytes that the file really has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from landscape.zoo.reading.stubs import Budget, DamagedError, Name, RefusedError, Stub

__all__ = ["Storage", "StorageKind", "layered", "quantised", "rebuilt", "storage_kind", "typed"]

_SPARE = 100_000_000
_LONGEST_SHAPE = 64
_ENTRIES = {
    "Double": torch.float64,
    "Float": torch.float32,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
    "ComplexDouble": torch.complex128,
    "ComplexFloat": torch.complex64,
    "QInt8": torch.qint8,
    "QInt32": torch.qint32,
    "QUInt8": torch.quint8,
    "QUInt4x2": torch.quint4x2,
    "QUInt2x4": torch.quint2x4,
}


@dataclass(frozen=True)
class StorageKind:
    """A class of storages.

    Attributes:
        dtype: Of the entries; ``None`` if they are bytes without a type.
    """

    dtype: torch.dtype | None

    @property
    def itemsize(self) -> int:
        """Bytes of an entry."""
        return 1 if self.dtype is None else self.dtype.itemsize


@dataclass(frozen=True)
class Storage:
    """Bytes of the file, as entries of one type.

    Attributes:
        kind: Its class.
        data: The bytes.
    """

    kind: StorageKind
    data: torch.UntypedStorage


def storage_kind(name: str) -> StorageKind | None:
    """The class of storages of that name; ``None`` if there is none.

    Example:
        >>> storage_kind("HalfStorage"), storage_kind("UntypedStorage"), storage_kind("load")
        (StorageKind(dtype=torch.float16), StorageKind(dtype=None), None)
    """
    if name == "UntypedStorage":
        return StorageKind(None)
    dtype = _ENTRIES.get(name.removesuffix("Storage")) if name.endswith("Storage") else None
    return StorageKind(dtype) if dtype is not None else None


def typed(name: str) -> Any:
    """The data type, memory format or layout of that name in torch; ``None`` if it is something else."""
    found = vars(torch).get(name)
    return found if isinstance(found, torch.dtype | torch.layout | torch.memory_format) else None


def rebuilt(budget: Budget, storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> torch.Tensor:
    """A tensor as ``torch._utils._rebuild_tensor_v2`` would make it, within its storage.

    Raises:
        DamagedError: If that is no form of a tensor.
        RefusedError: If it would reach beyond its storage.
    """
    dtype = next((r for r in rest if isinstance(r, torch.dtype)), None)
    dtype = dtype or (storage.kind.dtype if isinstance(storage, Storage) else None)
    if not isinstance(storage, Storage) or dtype is None:
        raise DamagedError("a tensor in its pickle has no storage")
    size, stride = _geometry(budget, storage, dtype, offset, size, stride)
    tensor = torch.empty((0,), dtype=dtype)
    tensor.set_(storage.data, offset, size, stride)
    for marks in (r for r in rest if isinstance(r, dict)):
        tensor = tensor.conj() if marks.get("conj") is True else tensor
        tensor = torch._neg_view(tensor) if marks.get("neg") is True else tensor
    return tensor


def quantised(budget: Budget, storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> Stub:
    """A stand-in for a quantised tensor, which torch must make; its form is checked."""
    if not isinstance(storage, Storage) or storage.kind.dtype is None:
        raise DamagedError("a tensor in its pickle has no storage")
    _geometry(budget, storage, storage.kind.dtype, offset, size, stride)
    return Stub("torch._utils._rebuild_qtensor")


def layered(function: Any, kind: Any, arguments: Any, *_: Any) -> Any:
    """A tensor of a subclass, as the plain tensor that it is made of."""
    if isinstance(function, Name) and function.make is not None and isinstance(arguments, tuple):
        return function.make(*arguments)
    name = kind.name if isinstance(kind, Name) else "torch.Tensor"
    return Stub(name, arguments if isinstance(arguments, tuple) else ())


def _geometry(
    budget: Budget, storage: Storage, dtype: torch.dtype, offset: Any, size: Any, stride: Any
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    size, stride = (tuple(part) if isinstance(part, list | tuple) else None for part in (size, stride))
    numbers = (offset, *(size or ()), *(stride or ()))
    if size is None or stride is None or len(size) != len(stride) or len(size) > _LONGEST_SHAPE:
        raise DamagedError("a tensor in its pickle has no shape")
    if not all(type(n) is int and 0 <= n < 1 << 62 for n in numbers):
        raise DamagedError("a tensor in its pickle has a shape that is no shape")
    count = 1
    for n in size:
        count *= n
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) + 1 if count else offset
    if last * dtype.itemsize > storage.data.nbytes():
        raise RefusedError("a tensor in its pickle reaches beyond the bytes that the file has for it")
    # A stride of 0 makes any number of entries out of one.
    if count * dtype.itemsize > budget.size + _SPARE:
        raise RefusedError("a tensor in its pickle has more entries than the file has bytes")
    return size, stride
