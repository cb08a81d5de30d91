"""Trees of tensors: nested tuples, lists, mappings, and objects that carry tensors."""

from __future__ import annotations

import copy
from collections import UserDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["as_tensors", "map_tensors", "plain", "rebuild", "remade", "tensors_in"]

_PLAIN = (str, bytes, int, float, complex, bool, type(None), np.ndarray, np.generic, type)


def tensors_in(tree: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """All tensors in nested tuples, lists, mappings and attributes of objects, with their paths."""
    if isinstance(tree, Tensor):
        yield name, tree
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from tensors_in(value, f"{name}.{key}")
    elif isinstance(tree, Sequence) and not isinstance(tree, str):
        for index, value in enumerate(tree):
            yield from tensors_in(value, f"{name}.{index}")
    else:
        for key, value in attributes(tree).items():
            yield from tensors_in(value, f"{name}.{key}")


def map_tensors(tree: Any, function: Callable[..., Any]) -> Any:
    """The tree with each tensor changed; lists become tuples, mappings and objects copies of their class."""
    if isinstance(tree, Tensor):
        return function(tree)
    if isinstance(tree, Mapping):
        return remade(tree, {key: map_tensors(value, function) for key, value in tree.items()})
    if isinstance(tree, tuple | list):
        return rebuild(tree, [map_tensors(value, function) for value in tree])
    found = attributes(tree)
    if not found:
        return tree
    other = copy.copy(tree)
    for key, value in found.items():
        object.__setattr__(other, key, map_tensors(value, function))  # a frozen dataclass, too
    return other


def rebuild(like: Any, values: Sequence[Any]) -> tuple[Any, ...]:
    """A tuple of values, with the names of a named tuple."""
    named: tuple[Any, ...] = type(like)(*values) if hasattr(like, "_fields") else tuple(values)
    return named


def remade(like: Mapping[Any, Any], entries: dict[Any, Any]) -> Mapping[Any, Any]:
    """A mapping with these entries, of the class of another where that can be copied, else a dictionary.

    Example:
        >>> from collections import UserDict
        >>> remade(UserDict(a=1, b=2), {"a": 3})
        {'a': 3}
        >>> type(remade(UserDict(a=1, b=2), {"a": 3})).__name__
        'UserDict'
    """
    # A copy of any other class may share the entries themselves with what the caller holds.
    if type(like) is dict or not isinstance(like, dict | UserDict):
        return entries
    try:
        other = copy.copy(like)
        for key in [key for key in other if key not in entries]:
            del other[key]
        for key, value in entries.items():
            other[key] = value
    except Exception:  # a class that takes no entries after it is made
        return entries
    return other


def attributes(tree: Any) -> dict[str, Any]:
    """What of an object's attributes holds tensors: a dataclass, a graph; empty for whatever holds none."""
    if isinstance(tree, (*_PLAIN, torch.nn.Module, Sequence, Mapping)) or callable(tree):
        return {}
    found = getattr(tree, "__dict__", {})
    return {k: v for k, v in found.items() if next(tensors_in(v), None) is not None}


def as_tensors(tree: Any) -> Any:
    """The tree with tensors in place of NumPy arrays of numbers; its lists and mappings as they were."""
    if isinstance(tree, np.ndarray) and tree.dtype.kind in "biufc":
        # torch takes no negative strides, such as those of flipped images; made contiguous, a single
        # number would become a vector.
        return torch.from_numpy(np.ascontiguousarray(tree)) if tree.ndim else torch.tensor(tree.item())
    if isinstance(tree, Mapping):
        return remade(tree, {key: as_tensors(value) for key, value in tree.items()})
    if isinstance(tree, tuple):
        return rebuild(tree, [as_tensors(value) for value in tree])
    if isinstance(tree, list):
        return [as_tensors(value) for value in tree]
    found = {} if isinstance(tree, (*_PLAIN[:-3], Tensor)) else _arrays(tree)
    if not found:
        return tree
    other = copy.copy(tree)
    for key, value in found.items():
        object.__setattr__(other, key, as_tensors(value))
    return other


def _arrays(tree: Any) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays among an object's attributes."""
    if callable(tree) or isinstance(tree, np.generic | Sequence | Mapping):
        return {}
    return {k: v for k, v in getattr(tree, "__dict__", {}).items() if isinstance(v, np.ndarray)}


def plain(tensor: Tensor) -> Tensor:
    """The same numbers, channels first: in the order of the indices; the tensor itself if they lie so.

    Torch's own ``contiguous`` leaves tensors with an axis of length 1 as they are, where the strides, which
    then mean nothing, may still tell oneDNN that the channels come last.

    Example:
        >>> x = torch.zeros(2, 1, 3, 3).as_strided((2, 1, 3, 3), (9, 1, 3, 1))
        >>> x.contiguous().stride(), plain(x).stride()
        ((9, 1, 3, 1), (9, 9, 3, 1))
    """
    strides = tuple(prod(tensor.shape[axis + 1 :]) for axis in range(tensor.ndim))
    return tensor if tensor.stride() == strides else tensor.clone(memory_format=torch.contiguous_format)
