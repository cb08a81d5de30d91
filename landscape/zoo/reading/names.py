"""The names that a checkpoint's pickle may use: what each stands for here. No module is imported for one."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from landscape.zoo.reading import arrays, tensors
from landscape.zoo.reading.stubs import Budget, DamagedError, Name, Stub

__all__ = ["Names"]

_TENSOR_CLASSES = {
    "torch.Tensor",
    "torch._tensor.Tensor",
    "torch.nn.parameter.Parameter",
    "torch.nn.parameter.Buffer",
    "torch.nn.Parameter",
}
_DTYPE_CLASS = re.compile(r"numpy\.dtypes\.(Bool|U?Int\d+|Float\d+|Complex\d+)DType")


class Names:
    """What names stand for, for one file.

    Args:
        budget: Memory that reading may take.
        nested: Reads a storage saved within a pickle, from its bytes.
        unknown: Filled with the dotted names that were looked up and are not known, in order.
    """

    def __init__(self, budget: Budget, nested: Callable[[bytes], Any], unknown: dict[str, None]) -> None:
        self._budget = budget
        self._unknown = unknown
        self._nested = nested
        rebuild = partial(tensors.rebuilt, budget)
        self._made: dict[str, Callable[..., Any]] = {
            "torch._utils._rebuild_tensor": rebuild,
            "torch._utils._rebuild_tensor_v2": rebuild,
            "torch._utils._rebuild_tensor_v3": rebuild,
            "torch._utils._rebuild_qtensor": partial(tensors.quantised, budget),
            "torch._utils._rebuild_parameter": _first,
            "torch._utils._rebuild_parameter_with_state": _first,
            "torch._tensor._rebuild_from_type": tensors.layered,
            "torch._tensor._rebuild_from_type_v2": tensors.layered,
            "torch.storage._load_from_bytes": self._storage,
            "torch.Size": self._size,
            "torch.device": _device,
            "torch.serialization._get_layout": _text,
            "collections.OrderedDict": self._ordered,
            "collections.Counter": self._dict,
            "collections.defaultdict": _defaultdict,
            "builtins.dict": self._dict,
            "builtins.list": self._list,
            "builtins.tuple": self._tuple,
            "builtins.set": self._set,
            "builtins.frozenset": self._frozen,
            "builtins.bytearray": self._bytes,
            "builtins.bytes": self._bytes,
            "builtins.complex": _complex,
            "_codecs.encode": self._encoded,
            "numpy.dtype": arrays.Dtype,
            "numpy.core.multiarray.scalar": arrays.scalar,
            "numpy._core.multiarray.scalar": arrays.scalar,
            "numpy.core.multiarray._reconstruct": arrays.empty,
            "numpy._core.multiarray._reconstruct": arrays.empty,
            "numpy.core.numeric._frombuffer": partial(arrays.from_buffer, budget),
            "numpy._core.numeric._frombuffer": partial(arrays.from_buffer, budget),
        }

    def __call__(self, module: str, name: str) -> Any:
        """The value of a name; a `Name` without a function if it is not known."""
        module = "builtins" if module == "__builtin__" else module  # Python 2, and protocols up to 2
        dotted = f"{module}.{name}"
        if module in ("torch", "torch.cuda", "torch.storage") and "." not in name:
            known = tensors.storage_kind(name) or (tensors.typed(name) if module == "torch" else None)
            if known is not None:
                return known
        if dotted in ("numpy.ndarray", *_TENSOR_CLASSES):
            return Name(dotted, _refuse if dotted == "numpy.ndarray" else _as_tensor)
        found = _DTYPE_CLASS.fullmatch(dotted)
        if found:
            return Name(dotted, partial(arrays.Dtype, _code(found[1])))
        make = self._made.get(dotted)
        if make is None:
            self._unknown[dotted] = None
        return Name(dotted, make)

    def _storage(self, data: Any = b"", *_: Any) -> Any:
        if not isinstance(data, bytes):
            raise DamagedError("a storage in its pickle has no bytes")
        self._budget.take(len(data))
        return self._nested(data)

    def _items(self, given: Any) -> Any:
        if not isinstance(given, list | tuple | set | frozenset | dict):
            raise DamagedError("its pickle makes a container from what is none")
        self._budget.take(100 * len(given))
        return given

    def _list(self, given: Any = ()) -> list[Any]:
        return list(self._items(given))

    def _tuple(self, given: Any = ()) -> Any:
        # Not a tuple: the machine counts how deep those that it makes itself are.
        return list(self._items(given))

    def _set(self, given: Any = ()) -> set[Any]:
        return set(self._items(given))

    def _frozen(self, given: Any = ()) -> set[Any]:
        return set(self._items(given))

    def _dict(self, given: Any = ()) -> dict[Any, Any]:
        return dict(self._items(given))

    def _ordered(self, given: Any = ()) -> OrderedDict[Any, Any]:
        return OrderedDict(self._items(given))

    def _bytes(self, given: Any = b"", *how: Any) -> bytes:
        if isinstance(given, str) and how and how[0] in ("latin-1", "latin1"):
            return self._encoded(given, how[0])
        # Never a number, of which `bytearray` makes as many zeros.
        if not isinstance(given, bytes | bytearray):
            raise DamagedError("its pickle makes bytes from what has none")
        self._budget.take(len(given))
        return bytes(given)

    def _encoded(self, text: Any, how: Any = "latin1", *_: Any) -> bytes:
        if not isinstance(text, str) or how not in ("latin1", "latin-1"):
            raise DamagedError("its pickle encodes something that is no text")
        self._budget.take(len(text))
        return text.encode("latin1")

    def _size(self, given: Any = ()) -> torch.Size:
        items = self._items(given)
        if not all(type(n) is int and abs(n) < 1 << 62 for n in items):
            raise DamagedError("a size in its pickle has no numbers")
        return torch.Size(items)


def _first(tensor: Any = None, *_: Any) -> Any:
    return tensor


def _as_tensor(data: Any = None, *_: Any) -> Any:
    """A tensor of a class of torch, which is that tensor here."""
    return data if isinstance(data, torch.Tensor) else Stub("torch.Tensor")


def _refuse(*_: Any) -> Any:
    raise DamagedError("its pickle makes an array from a shape alone")


def _text(given: Any = "", *_: Any) -> Any:
    return given if isinstance(given, str) else ""


def _device(*given: Any) -> str:
    return ":".join(str(part) for part in given if isinstance(part, str | int))[:40]


def _defaultdict(*_: Any) -> dict[Any, Any]:
    return {}


def _complex(*given: Any) -> complex:
    if not all(isinstance(n, int | float) for n in given):
        raise DamagedError("a number in its pickle is none")
    return complex(*given)


def _code(name: str) -> str:
    """Numpy's code of a data type from the name of its class.

    Example:
        >>> _code("Float64"), _code("UInt8"), _code("Bool")
        ('f8', 'u1', 'b1')
    """
    kind = re.sub(r"\d", "", name)
    bits = int(re.sub(r"\D", "", name) or 8)
    return {"Bool": "b", "Int": "i", "UInt": "u", "Float": "f", "Complex": "c"}[kind] + str(bits // 8)
