"""Memory: how much autograd graphs take, and how much a process may take."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from landscape.core.data.free_memory import free_memory

__all__ = ["SavedBytes", "count_saved_bytes", "fair_share"]


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


def fair_share(device: torch.device) -> int:
    """Bytes that this process may keep for speed: half of the free memory, by its share of the processors.

    A process with t torch threads on a machine of c processors takes the share t/c, so that workers which
    divide the machine also divide its memory. A GPU is taken to be unshared.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0]) // 2
    share = min(1.0, torch.get_num_threads() / (os.cpu_count() or 1))
    return int(free_memory() * share) // 2
