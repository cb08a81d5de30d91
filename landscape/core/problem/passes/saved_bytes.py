"""How much autograd graphs save."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

__all__ = ["SavedBytes", "count_saved_bytes"]


class SavedBytes:
    """Bytes that autograd keeps for backward passes; a storage kept twice counts once.

    Args:
        known: Tensors that are there anyway, such as parameters, and do not count.
    """

    def __init__(self, known: Iterable[Tensor] = ()) -> None:
        # Other layouts, sparse ones, have no single storage to count.
        self._known = {t.untyped_storage().data_ptr() for t in known if t.layout is torch.strided}
        self._storages: dict[int, torch.UntypedStorage] = {}  # held, so that no address is used twice

    @property
    def total(self) -> int:
        """The bytes so far."""
        return sum(storage.nbytes() for storage in self._storages.values())

    @property
    def largest(self) -> int:
        """The bytes of the largest storage so far; 0 if there is none."""
        return max((storage.nbytes() for storage in self._storages.values()), default=0)

    def add(self, tensor: Tensor) -> None:
        """Count the storage of a tensor."""
        if tensor.layout is torch.strided:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in self._known:
                self._storages[storage.data_ptr()] = storage


@contextmanager
def count_saved_bytes(known: Iterable[Tensor] = ()) -> Iterator[SavedBytes]:
    """Count what graphs built within it keep; ``known`` as in `SavedBytes`.

    The same work gives the same count each time. The memory is held as long as the count.
    """
    count = SavedBytes(known)

    def pack(tensor: Tensor) -> Tensor:
        count.add(tensor)
        return tensor.detach()  # an output kept as it is would keep itself alive

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield count
