"""Mini-batches as in training: the examples distributed at random wherever batches can be taken apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from landscape.core.data.batches import Batch, Examples, batches_joinable
from landscape.errors import InputError

__all__ = ["MiniBatches", "split_into_minibatches"]


@dataclass(frozen=True)
class MiniBatches:
    """Mini-batches of equal size, each made when it is asked for.

    Attributes:
        data: All batches of the data.
        members: Numbers in the data of the examples of each mini-batch (b, size).
        shuffled: Whether the examples were distributed at random; else they come in the data's order.
        pieces: The mini-batches themselves, where examples of different batches cannot be joined.
    """

    data: Sequence[Batch]
    members: NDArray[np.int64]
    shuffled: bool
    pieces: Sequence[Batch] | None = None

    def __len__(self) -> int:
        return len(self.members)

    def __getitem__(self, number: int) -> Batch:
        """The mini-batch of this number."""
        if self.pieces is not None:
            return self.pieces[number]
        return self._examples.take(torch.from_numpy(self.members[number]))

    @cached_property
    def _examples(self) -> Examples:
        return Examples(self.data)


def split_into_minibatches(
    batches: Sequence[Batch], size: int, *, shuffle: bool | None, generator: np.random.Generator
) -> MiniBatches:
    """Distribute all examples over mini-batches; those left over, fewer than ``size``, are left out.

    Batches that cannot be joined keep the data's order: each is cut by itself, and its rest is left out.

    Args:
        batches: The data.
        size: Examples per mini-batch; all of them if there are fewer and they can be joined.
        shuffle: Whether to distribute at random; ``None``: where the batches can be joined.
        generator: Of the random order.

    Raises:
        InputError: If examples that cannot be joined are to be shuffled, or no mini-batch can be made.
    """
    if batches_joinable(batches):
        examples = sum(batch.size for batch in batches)
        size = min(size, examples)
        shuffled = shuffle is not False
        order = generator.permutation(examples) if shuffled else np.arange(examples)
        # A smaller last one would not compare: the spectrum of a batch widens as its examples get fewer.
        return MiniBatches(batches, order[: examples // size * size].reshape(-1, size), shuffled)
    if shuffle:
        raise InputError(
            "the batches differ in form, so their examples cannot be mixed: leave shuffle out to cut"
            " mini-batches from each batch, in its order."
        )
    return _cut(batches, size)


def _cut(batches: Sequence[Batch], size: int) -> MiniBatches:
    """Mini-batches that are consecutive examples of one batch each."""
    pieces, members, start = [], [], 0
    for batch in batches:
        for piece in batch.split(size):
            if piece.size > size:
                raise InputError(
                    f"a batch of {piece.size} examples cannot be cut into mini-batches of {size}, since not"
                    f" all of its tensors have one entry per example: give the data in batches of {size}."
                )
            if piece.size == size:
                pieces.append(piece)
                members.append(np.arange(start, start + size))
            start += piece.size
    if not pieces:
        raise InputError(
            f"no batch of the data has {size} examples, and batches that differ in form cannot be joined:"
            " choose smaller mini-batches."
        )
    return MiniBatches(batches, np.stack(members), False, pieces)
