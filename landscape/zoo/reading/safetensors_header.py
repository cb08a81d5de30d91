"""The header of a safetensors file, compared with the file before anything is made of it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from landscape.zoo.reading.stubs import DamagedError

__all__ = ["check_header"]

_LONGEST = 32_000_000
_PER_TENSOR = 2000  # bytes that a tensor takes beside its entries


def check_header(path: Path) -> None:
    """Raise unless what the header declares lies within the file.

    Raises:
        OSError: If the file cannot be read.
        DamagedError: If it declares more than there is, or a header that no model has.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > size - 8 or length > _LONGEST:
            raise DamagedError(
                "its header is longer than the file" if length > size - 8 else "its header is too long"
            )
        try:
            header = json.loads(file.read(length))
        except (ValueError, RecursionError) as error:
            raise DamagedError("its header is no JSON") from error
    if not isinstance(header, dict):
        raise DamagedError("its header is no table")
    if len(header) * _PER_TENSOR > 2 * size + 250_000_000:
        raise DamagedError("it declares more tensors than it could hold")
    for entry in (value for name, value in header.items() if name != "__metadata__"):
        _check(entry, size - 8 - length)


def _check(entry: Any, size: int) -> None:
    ends, shape = (entry.get(k) if isinstance(entry, dict) else None for k in ("data_offsets", "shape"))
    if not isinstance(ends, list) or not isinstance(shape, list) or len(ends) != 2 or len(shape) > 64:
        raise DamagedError("its header describes no tensor")
    if not all(type(n) is int and n >= 0 for n in (*ends, *shape)):
        raise DamagedError("its header describes no tensor")
    if not ends[0] <= ends[1] <= size:
        raise DamagedError("a tensor ends behind the file")
    if math.prod(shape) > 2 * size + 1:  # the smallest entries are half a byte
        raise DamagedError("a tensor is declared larger than the file")
