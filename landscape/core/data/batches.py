"""Batches: any form of data, read once, kept on the device, cut into micro-batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from landscape.core.data.data_forms import ENDLESS, has_end, raw_batches
from landscape.core.data.shared_copies import one_copy
from landscape.core.data.trees import attributes, map_tensors, plain, rebuild, remade, tensors_in
from landscape.core.free_memory import free_memory
from landscape.errors import InputError, reason

__all__ = [
    "TARGET_KEYS",
    "Batch",
    "Examples",
    "batch_of",
    "batches_joinable",
    "gather",
    "read_batches",
    "rebatch",
    "tensors_in",
]

TARGET_KEYS = ("labels", "label", "targets", "target", "y")
"""Keys under which a batch that is a mapping keeps its targets."""


@dataclass(frozen=True)
class Batch:
    """One micro-batch.

    Attributes:
        raw: The batch as the user gave it (moved to the device).
        inputs: What the model gets.
        target: What the loss gets.
        size: Number of examples B.
        counted: Whether their number is known; else leading axes disagree, and it is a guess.
    """

    raw: Any
    inputs: Any
    target: Any
    size: int
    counted: bool = True

    def fresh(self) -> Batch:
        """A copy whose tensors a model may write to (in-place layers, normalisation in place)."""
        raw = map_tensors(self.raw, torch.clone)
        return Batch(raw, *_split(raw), self.size)

    def replace(self, old: Tensor, new: Tensor) -> Batch:
        """A copy with the tensor ``new`` wherever the batch holds the tensor ``old`` itself."""
        raw = map_tensors(self.raw, lambda tensor: new if tensor is old else tensor)
        return Batch(raw, *_split(raw), self.size)

    def to(self, device: torch.device) -> Batch:
        """The batch on a device; itself if it is there."""
        if all(tensor.device == device for _, tensor in tensors_in(self.raw)):
            return self
        raw = map_tensors(self.raw, lambda tensor: tensor.to(device))
        return Batch(raw, *_split(raw), self.size)

    def in_dtype(self, dtype: torch.dtype) -> Batch:
        """The batch with its floating tensors in another dtype."""
        raw = map_tensors(self.raw, lambda tensor: tensor.to(dtype) if tensor.is_floating_point() else tensor)
        return Batch(raw, *_split(raw), self.size)

    def channels_last(self) -> Batch:
        """The same numbers, those of images (B, C, H, W) with the channels next to each other in memory."""

        def arrange(tensor: Tensor) -> Tensor:
            # Not `contiguous`, which leaves images of one channel, and so all maps made of them, as they are.
            return tensor.to(memory_format=torch.channels_last) if _is_image(tensor) else tensor

        raw = map_tensors(self.raw, arrange)
        return Batch(raw, *_split(raw), self.size)

    def channels_first(self) -> Batch:
        """The same numbers, those of images (B, C, H, W) in memory in the order of their indices."""
        raw = map_tensors(self.raw, lambda tensor: plain(tensor) if _is_image(tensor) else tensor)
        return Batch(raw, *_split(raw), self.size)

    def first(self, count: int) -> Batch:
        """The first ``count`` examples; the batch itself if there are no more."""
        if count >= self.size:
            return self
        raw = map_tensors(self.raw, lambda t: t[:count] if t.ndim and len(t) == self.size else t)
        return Batch(raw, *_split(raw), count)

    @property
    def splits(self) -> bool:
        """Whether every tensor has the examples along its first axis."""
        return all(t.shape[:1] == (self.size,) for _, t in tensors_in(self.raw))

    def split(self, size: int) -> list[Batch]:
        """Consecutive views of at most ``size`` examples; the batch itself if it cannot be cut."""
        if size >= self.size or not self.splits:
            return [self]
        pieces = []
        for start in range(0, self.size, size):
            raw = map_tensors(self.raw, lambda t, s=slice(start, start + size): t[s])
            pieces.append(Batch(raw, *_split(raw), min(size, self.size - start)))
        return pieces


def _is_image(tensor: Tensor) -> bool:
    # Sparse tensors have no memory format.
    return tensor.ndim == 4 and tensor.is_floating_point() and tensor.layout is torch.strided


def batch_of(raw: Any, size: int) -> Batch:
    """A batch of what a model and its loss take, with so many examples."""
    return Batch(raw, *_split(raw), size)


def _split(raw: Any) -> tuple[Any, Any]:
    """Inputs and targets of a batch."""
    if isinstance(raw, Mapping):
        key = next((k for k in TARGET_KEYS if k in raw), None)
        if key is None:
            return raw, None
        return remade(raw, {k: v for k, v in raw.items() if k != key}), raw[key]
    if isinstance(raw, tuple | list) and len(raw) == 2:
        return raw[0], raw[1]
    if isinstance(raw, tuple | list) and len(raw) > 2:
        return tuple(raw[:-1]), raw[-1]
    return raw, None


def rebatch(batches: Sequence[Batch], size: int) -> list[Batch]:
    """The same examples in the same order, cut into micro-batches of ``size``.

    Raises:
        InputError: If the batches cannot be joined: they differ in form, or hold more than tensors with one
            entry per example.
    """
    if not batches_joinable(batches):
        raise InputError("the batches differ in form, so they cannot be cut into other micro-batches.")
    raw = _join([b.raw for b in batches])
    total = sum(b.size for b in batches)
    cut = []
    for start in range(0, total, size):
        stop = min(start + size, total)
        piece = map_tensors(raw, lambda t, s=slice(start, stop): t[s])
        cut.append(Batch(piece, *_split(piece), stop - start))
    return cut


def gather(batches: Sequence[Batch], index: Tensor) -> Batch:
    """Some of the examples as one batch; whoever takes examples more than once makes `Examples`.

    Args:
        batches: Where the examples are.
        index: Their numbers over all batches (n,), in the order asked for; no more than those are copied.

    Raises:
        InputError: As `rebatch` does.
    """
    return Examples(batches).take(index)


class Examples:
    """The examples of batches by their numbers over all of them.

    Whether batches can be joined and where each begins is found out once, so that taking examples costs as
    much as they are, however many others there are.

    Args:
        batches: Where the examples are.

    Raises:
        InputError: As `rebatch` does.
    """

    def __init__(self, batches: Sequence[Batch]) -> None:
        if not batches_joinable(batches):
            raise InputError(
                "the batches differ in form, so their examples cannot be mixed: give examples of one shape,"
                " resized or padded."
            )
        self._batches = batches
        self._ends = torch.tensor([batch.size for batch in batches]).cumsum(0)

    def take(self, index: Tensor) -> Batch:
        """The examples of these numbers (n,), in that order, as one batch."""
        home = torch.searchsorted(self._ends, index, right=True)
        order = home.argsort(stable=True)  # batch by batch
        found, counts = torch.unique_consecutive(home[order], return_counts=True)
        pieces = []
        for number, part in zip(found.tolist(), torch.split(order, counts.tolist()), strict=True):
            batch = self._batches[number]
            local = index[part] - (self._ends[number] - batch.size)
            pieces.append(map_tensors(batch.raw, lambda t, i=local: t[i.to(t.device)]))
        back = torch.empty_like(order)
        back[order] = torch.arange(len(order))
        raw = pieces[0] if len(pieces) == 1 else _join(pieces)
        raw = map_tensors(raw, lambda t: t[back.to(t.device)])
        return Batch(raw, *_split(raw), len(index))


def batches_joinable(batches: Sequence[Batch]) -> bool:
    """Whether batches are alike but for their size, and hold tensors with one entry per example only."""
    return len({_form(b.raw, b.size) for b in batches}) == 1 and _form(batches[0].raw, batches[0].size) != ""


def _form(tree: Any, size: int) -> str:
    """A text that is equal for trees that can be joined; empty for a tree that cannot be."""
    if isinstance(tree, Tensor):
        by_example = tree.ndim > 0 and len(tree) == size
        return f"{tree.dtype}{tuple(tree.shape[1:])}" if by_example else ""
    # `map_tensors` has made tuples of lists; other objects, such as graphs, have no common axis of examples.
    if not isinstance(tree, Mapping | tuple):
        return ""
    named = tree.items() if isinstance(tree, Mapping) else enumerate(tree)
    parts = [(key, _form(value, size)) for key, value in named]
    return repr(parts) if parts and all(form for _, form in parts) else ""


def _join(trees: Sequence[Any]) -> Any:
    first = trees[0]
    if isinstance(first, Tensor):
        return torch.cat(list(trees))
    if isinstance(first, Mapping):
        return remade(first, {key: _join([tree[key] for tree in trees]) for key in first})
    return rebuild(first, [_join(parts) for parts in zip(*trees, strict=True)])


def read_batches(
    data: Any,
    *,
    batch_size: int,
    device: torch.device,
    dtype: torch.dtype | None,
    size: Callable[[Any], int] | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Batch]:
    """Read data once into micro-batches on the device.

    Args:
        data: ``(inputs, targets)`` tensors or NumPy arrays (inputs may be a mapping or tuple of them), a
            mapping with a target key, an iterable of batches, a map-style or iterable Dataset, or a
            DataLoader. A batch may also be an object that holds tensors, such as a dataclass or a graph.
        batch_size: Micro-batch size for data that does not come in batches.
        device: Where the batches are kept.
        dtype: Floating tensors are converted to it; ``None`` leaves them.
        size: Number of examples of a batch as it was given; default: counted.
        progress: Told the number of examples read so far, once per batch.

    Returns:
        The batches, in order, whose sizes may differ. Their tensors are copies; within
        `landscape.core.data.shared_copies.shared_copies` one for all who read the same numbers.

    Raises:
        InputError: If there is no data, inputs and targets differ in length, a batch has no tensors, or data
            without a length does not end or takes more than half of the free memory.
    """
    if batch_size < 1:
        raise InputError(f"the batch size must be at least 1; got {batch_size}.")

    def move(tensor: Tensor) -> Tensor:
        kind = dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype
        # A copy in any case: what the caller or a loader writes to the tensor later must not change the data.
        return tensor.detach().to(device, kind, copy=True)

    batches = []
    ends, examples, taken = has_end(data), 0, 0
    most = 0 if ends else free_memory() // 2
    for index, given in enumerate(raw_batches(data, batch_size)):
        raw = one_copy(map_tensors(given, move))
        inputs, target = _split(raw)
        if size is not None:
            count, counted = _told(size, raw, index), True
        else:
            count, counted = _count(inputs, target, index)
        if count == 0:
            continue
        batches.append(Batch(raw, inputs, target, count, counted))
        examples += count
        if not ends:
            taken += sum(t.nbytes for _, t in tensors_in(raw) if t.layout is torch.strided)
            if examples > ENDLESS or taken > most:
                raise InputError(
                    f"the data has no length and does not end: {examples} examples were read, which take"
                    f" {taken / 1e9:.2g} GB; give a finite part of it, such as"
                    " list(itertools.islice(loader, 100))."
                )
        if progress is not None:
            progress(examples)
    if not batches:
        dropped = (
            " (drop_last leaves out all of less than one batch)" if getattr(data, "drop_last", False) else ""
        )
        raise InputError(f"the data is empty{dropped}; give at least one example.")
    return batches


def _told(size: Callable[[Any], int], raw: Any, index: int) -> int:
    """The number of examples that the user's function gives for a batch."""
    try:
        count = int(size(raw))
    except Exception as error:
        raise InputError(f"size= failed on batch {index}: {reason(error)}") from error
    if count < 0:
        raise InputError(f"size= gave {count} examples for batch {index}; give their number.")
    return count


def _count(inputs: Any, target: Any, index: int) -> tuple[int, bool]:
    """The number of examples of a batch, and whether it is known."""
    # The target first: of graphs or padded text the first axis of the inputs need not be the examples.
    if isinstance(target, Tensor) and target.ndim:
        return len(target), True
    if isinstance(target, tuple) and isinstance(inputs, tuple) and len(inputs) == len(target) > 0:
        return len(target), True  # lists of examples, such as images with their boxes
    single = isinstance(target, int | float) or (isinstance(target, Tensor) and target.ndim == 0)
    tensors = [t for _, t in tensors_in(inputs)]
    if tensors and single and not attributes(inputs):
        raise InputError(
            f"the target of batch {index} is a single number, so the data seems to be examples rather than"
            " batches; give torch.utils.data.DataLoader(data, batch_size=...)."
        )
    lengths = [len(t) for t in tensors if t.ndim]
    if not lengths:
        raise InputError(f"batch {index} holds no tensor with a batch axis.")
    return lengths[0], len(set(lengths)) == 1
