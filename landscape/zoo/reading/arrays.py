"""Arrays and scalars of numpy in pickles, made from their bytes alone."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from landscape.zoo.reading.stubs import Budget, DamagedError, Stub, UnsupportedError

__all__ = ["Dtype", "empty", "fill", "from_buffer", "scalar"]

_PLAIN = re.compile(r"[|<>=]?(?:b1|[iu][1248]|f[248]|c(?:8|16))")


class Dtype:
    """A data type of numbers; of any other kind it is known by its name alone.

    Args:
        code: As numpy writes it: ``f8``, ``i4``.
    """

    __slots__ = ("_code", "_order")

    def __init__(self, code: object, *_: object) -> None:
        self._code = code if isinstance(code, str) else "?"
        self._order = ""

    def build(self, state: Any) -> None:
        """Take over the byte order from a state, a tuple whose second element it is."""
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "|", "="):
            self._order = state[1]

    @property
    def real(self) -> np.dtype[Any] | None:
        """The data type, if it is of numbers."""
        if not _PLAIN.fullmatch(self._code):
            return None
        return np.dtype(self._order + self._code.lstrip("|<>=") if self._order else self._code)


def scalar(dtype: object, data: object = b"") -> Any:
    """A single number from its bytes."""
    real = dtype.real if isinstance(dtype, Dtype) else None
    if real is None:
        return Stub("numpy scalar", (data,))
    if not isinstance(data, bytes) or len(data) != real.itemsize:
        raise DamagedError("a number in its pickle has not the bytes of its type")
    return np.frombuffer(data, real)[0]


def empty(*_: object) -> np.ndarray[Any, Any]:
    """An array that is filled afterwards."""
    return np.empty(0, np.uint8)


def fill(array: np.ndarray[Any, Any], state: Any, budget: Budget) -> None:
    """Give an array, made by `empty`, its numbers in place.

    Args:
        array: The array.
        state: Version, shape, data type, whether columns come first, bytes.
        budget: Memory that may be taken.
    """
    if not isinstance(state, tuple) or len(state) != 5:
        raise DamagedError("an array in its pickle has no state")
    _, shape, dtype, columns, data = state
    real = dtype.real if isinstance(dtype, Dtype) else None
    if real is None:  # of objects or texts: nothing that weights could be
        return
    _check(shape, real, data)
    budget.take(len(data))
    state = (1, shape, real, bool(columns), bytes(data))
    array.__setstate__(state)


def from_buffer(budget: Budget, buffer: Any, dtype: Any, shape: Any, order: Any = "C") -> Any:
    """An array from bytes beside it, as pickles of protocol 5 have it."""
    real = dtype.real if isinstance(dtype, Dtype) else None
    if real is None:
        return Stub("numpy array", ())
    _check(shape, real, buffer)
    budget.take(len(buffer))
    array = np.frombuffer(bytes(buffer), real).copy()
    return array.reshape(shape, order="F" if order == "F" else "C")


def _check(shape: Any, dtype: np.dtype[Any], data: Any) -> None:
    if not isinstance(shape, tuple) or len(shape) > 32 or not all(type(n) is int and n >= 0 for n in shape):
        raise DamagedError("an array in its pickle has no shape")
    if not isinstance(data, bytes | bytearray):
        raise UnsupportedError("an array in its pickle is not held as bytes")
    if math.prod(shape) * dtype.itemsize != len(data):
        raise DamagedError("an array in its pickle has not the bytes that its shape says")
