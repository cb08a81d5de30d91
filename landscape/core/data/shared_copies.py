"""One copy of the same numbers: problems of a group on the same data hold the same tensors.

Only where that is asked for: whoever makes problems by hand may write to the batches of one, which must not
change another.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from landscape.core.data.trees import map_tensors

__all__ = ["one_copy", "same_bits", "shared_copies"]

_LOOKED_AT = 16
"""Entries by which a tensor is looked up, before it is compared in full."""

_in_use: WeakValueDictionary[Hashable, Tensor] = WeakValueDictionary()
_asked: ContextVar[bool] = ContextVar("shared copies", default=False)


@contextmanager
def shared_copies() -> Iterator[None]:
    """Within it problems that are made of the same numbers hold one copy of them, and nobody writes to it."""
    before = _asked.set(True)
    try:
        yield
    finally:
        _asked.reset(before)


def one_copy(raw: Any) -> Any:
    """A batch; within `shared_copies` each tensor is the one with the same bits that an earlier batch holds.

    A tensor stands for others of its place in a batch only: who replaces the inputs of a batch must not
    replace its targets, even where they are the same numbers. Tensors given there are not to be written to.

    Example:
        >>> x = torch.ones(3, 2)
        >>> with shared_copies():
        ...     first = one_copy((x.clone(), x.clone()))
        ...     second = one_copy((x.clone(), x.clone()))
        >>> first[0] is second[0], first[1] is second[1], first[0] is first[1]
        (True, True, False)
    """
    if not _asked.get():
        return raw
    places = count()
    return map_tensors(raw, lambda tensor: _living(tensor, next(places)))


def same_bits(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are one, or hold the same bits in the same form on one device."""
    if a is b:
        return True
    forms = [(t.shape, t.stride(), t.dtype, t.device) for t in (a, b) if _is_plain(t)]
    return len(forms) == 2 and forms[0] == forms[1] and torch.equal(_bits(a), _bits(b))


def _living(tensor: Tensor, place: int) -> Tensor:
    if not _is_plain(tensor):
        return tensor
    bits = _bits(tensor)
    some = bits[:: max(1, len(bits) // _LOOKED_AT)].tolist()
    key = place, tensor.shape, tensor.stride(), tensor.dtype, tensor.device, *some
    known = _in_use.get(key)
    if known is not None and torch.equal(_bits(known), bits):
        return known
    _in_use[key] = tensor
    return tensor


def _is_plain(tensor: Tensor) -> bool:
    if type(tensor) is not Tensor or tensor.layout is not torch.strided or not tensor.ndim:
        return False
    return tensor.is_contiguous() and not tensor.is_quantized and tensor.numel() > 0


def _bits(tensor: Tensor) -> Tensor:
    """The entries as whole numbers, so that 0 and −0 differ and NaN is itself."""
    flat = tensor.detach().reshape(-1)
    flat = torch.view_as_real(flat.resolve_conj()).reshape(-1) if tensor.is_complex() else flat
    kinds = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    return flat.view(kinds[flat.element_size()])
