"""Forms of data: whatever a user has, as an iterator of batches as they were given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, default_collate

from landscape.core.data.trees import as_tensors, map_tensors, tensors_in
from landscape.errors import InputError

__all__ = ["ENDLESS", "changes_when_read", "has_end", "raw_batches"]

ENDLESS = 1 << 20
"""Examples after which data that does not know its length counts as endless."""


def raw_batches(data: Any, batch_size: int) -> Iterator[Any]:
    """The batches that data of any form holds, NumPy arrays as tensors.

    Args:
        data: See `landscape.core.data.batches.read_batches`.
        batch_size: Size of batches for data that does not come in batches.

    Raises:
        InputError: If the form is not known, or has two readings.
    """
    yield from map(as_tensors, _batches(data, batch_size))


def has_end(data: Any) -> bool:
    """Whether data knows its length, so that reading it ends."""
    try:
        return isinstance(data, Tensor | np.ndarray) or len(data) >= 0
    except (TypeError, NotImplementedError):
        return False


def changes_when_read(data: Any) -> bool:
    """Whether an example is another one each time it is read, as under random augmentation.

    The first example of a map-style dataset is read twice, where the dataset's loader would read it; of data
    of other forms nothing is known.
    """
    dataset = data.dataset if isinstance(data, DataLoader) else data
    if isinstance(dataset, IterableDataset) or not isinstance(dataset, Dataset):
        return False
    workers = isinstance(data, DataLoader) and data.num_workers > 0
    twice = DataLoader(
        dataset,
        sampler=[0, 0],
        batch_size=1,
        num_workers=int(workers),
        collate_fn=_only,
        worker_init_fn=data.worker_init_fn if isinstance(data, DataLoader) else None,
        multiprocessing_context=data.multiprocessing_context if workers else None,
    )
    try:
        one, two = (list(tensors_in(as_tensors(example))) for example in twice)
    except Exception:  # whatever fails here fails with a sentence when the data is read
        return False
    return any(not _equal(a, b) for (_, a), (_, b) in zip(one, two, strict=False))


def _only(examples: list[Any]) -> Any:
    return examples[0]


def _equal(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool(((a == b) | ((a != a) & (b != b))).all())


def _batches(data: Any, batch_size: int) -> Iterator[Any]:
    if isinstance(data, Tensor | np.ndarray):
        raise InputError(
            "the data is a single tensor; give (inputs, targets), or [inputs] if there are none."
        )
    if isinstance(data, DataLoader):
        yield from data
    # Before Dataset, from which it inherits without having indices.
    elif isinstance(data, IterableDataset):
        yield from DataLoader(data, batch_size=batch_size)
    elif isinstance(data, Dataset):
        yield from _collated(data, batch_size)
    elif _is_one_set(data):
        yield from _slices(as_tensors(data), batch_size)
    elif isinstance(data, Iterable):
        _refuse_two_readings(data)
        yield from data
    elif hasattr(data, "__getitem__"):  # a dataset that does not inherit
        yield from _collated(data, batch_size)
    else:
        raise InputError(
            f"data of type {type(data).__name__} cannot be read; give (inputs, targets),"
            " an iterable of batches, a Dataset or a DataLoader."
        )


def _collated(data: Any, batch_size: int) -> Iterator[Any]:
    """Batches of the examples of a map-style dataset, with or without a length."""
    known = has_end(data)
    start, ended = 0, False
    while not ended and not (known and start >= len(data)):
        stop = min(start + batch_size, len(data)) if known else start + batch_size
        examples = []
        for index in range(start, stop):
            try:
                examples.append(data[index])
            except IndexError:  # how a sequence without a length says that it ends
                if known:
                    raise
                ended = True
                break
        if examples:
            yield default_collate(examples)
        start = stop


def _slices(data: Any, batch_size: int) -> Iterator[Any]:
    """Batches of one set of tensors."""
    tensors = dict(tensors_in(data))
    flat = [name.lstrip(".") for name, t in tensors.items() if t.ndim == 0]
    if flat:
        raise InputError(f"the data's tensor '{flat[0]}' is a single number and has no batch axis.")
    sizes = sorted({len(t) for t in tensors.values()})
    if not sizes:
        raise InputError("the data holds no tensor; give (inputs, targets).")
    if len(sizes) > 1:
        raise InputError(f"inputs and targets differ in length: {sizes}.")
    for start in range(0, sizes[0], batch_size):
        yield map_tensors(data, lambda t, s=start: t[s : s + batch_size])


def _is_one_set(data: Any) -> bool:
    """Whether data is one (inputs, targets) set rather than a list of batches."""
    if isinstance(data, Mapping):
        return True
    arrays = Tensor | np.ndarray
    return (
        # No list: [a, b] may as well be two batches without targets.
        isinstance(data, tuple)
        and len(data) >= 2
        and isinstance(data[-1], arrays)
        and all(isinstance(part, arrays | Mapping | tuple) for part in data)
    )


def _refuse_two_readings(data: Any) -> None:
    """Raise for ``[inputs, targets]``, which may as well be two batches."""
    if not isinstance(data, list) or len(data) != 2:
        return
    a, b = as_tensors(data)
    if isinstance(a, Tensor) and isinstance(b, Tensor) and a.ndim and b.ndim:
        alike = a.shape[1:] == b.shape[1:] and a.dtype == b.dtype
        if len(a) == len(b) and not alike:
            raise InputError(
                f"the data is a list of two tensors, {tuple(a.shape)} {_name(a)} and {tuple(b.shape)}"
                f" {_name(b)}: give inputs and targets as a tuple (inputs, targets), batches without targets"
                " as [(a,), (b,)]."
            )


def _name(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
