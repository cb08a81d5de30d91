"""The examples that a probe looks at: read once, before the training, and always the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

from landscape.core.data.batches import Batch, read_batches
from landscape.core.data.subsample import SEED, sample
from landscape.zoo.loader import seeded

__all__ = ["read_subset"]

_CPU = torch.device("cpu")


def read_subset(data: Any, examples: int, batch_size: int) -> list[Batch]:
    """So many examples of data of any form, on the CPU; all, if there are no more.

    Of tensors and of data with indices they are the first of a fixed random order, and no others are read;
    of a loader and of an iterator they are of the batches that come first.

    Args:
        data: What `landscape.Problem` takes.
        examples: How many.
        batch_size: Of micro-batches, for data that does not come in batches.

    Raises:
        InputError: If the data cannot be read.
    """
    with seeded(), _generators_kept(data):
        if _has_indices(data) and len(data) > examples:
            order = torch.randperm(len(data), generator=torch.Generator().manual_seed(SEED))
            data = Subset(data, order[:examples].tolist())
        elif _comes_in_batches(data):
            data = list(_enough(data, examples))
        batches = read_batches(data, batch_size=batch_size, device=_CPU, dtype=None)
    return sample(batches, examples)


def _has_indices(data: Any) -> bool:
    if isinstance(data, Dataset):
        return not isinstance(data, IterableDataset) and hasattr(data, "__len__")
    plain = isinstance(data, torch.Tensor | Mapping | list | tuple | DataLoader) or hasattr(data, "dtype")
    return not plain and hasattr(data, "__getitem__") and hasattr(data, "__len__")


def _comes_in_batches(data: Any) -> bool:
    """Whether data is a loader or an iterable of batches, of which a part can be had."""
    known = isinstance(data, torch.Tensor | Mapping | tuple | Dataset | list) or hasattr(data, "__getitem__")
    return isinstance(data, DataLoader) or (isinstance(data, Iterable) and not known)


def _enough(data: Iterable[Any], examples: int) -> Iterator[Any]:
    """The first batches, with so many examples or a few more."""
    found = 0
    for raw in data:
        yield raw
        found += sum(b.size for b in read_batches([raw], batch_size=1, device=_CPU, dtype=None))
        if found >= examples:
            return


@contextmanager
def _generators_kept(data: Any) -> Iterator[None]:
    """Within it, a loader may be read; its own random numbers go on afterwards as if it had not been."""
    holders = (data, getattr(data, "sampler", None), getattr(data, "batch_sampler", None))
    with ExitStack() as kept:
        for holder in holders:
            generator = getattr(holder, "generator", None)
            if isinstance(generator, torch.Generator):
                kept.callback(generator.set_state, generator.get_state())
        yield
