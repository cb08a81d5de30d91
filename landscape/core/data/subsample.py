"""Which examples a pass over the data shows to whom: a fair sample, whatever the data is sorted by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from landscape.core.data.batches import Batch, Examples, batches_joinable

__all__ = ["Pass", "plan_pass", "sample"]

# One for all, so that models are compared on the same examples.
SEED = 0


@dataclass(frozen=True)
class Pass:
    """A pass over data for several viewers.

    Attributes:
        data: All batches of the data.
        parts: The numbers of the examples that make up each batch of the pass; ``None``: the data's own.
        shares: Of each batch of the pass, how many of its examples, the first, each viewer is shown.
        orders: Numbers in the data of the examples that each viewer is shown, as they come.
    """

    data: Sequence[Batch]
    parts: tuple[Tensor, ...] | None
    shares: list[list[int]]
    orders: list[Tensor]

    def batches(self) -> Iterator[Batch]:
        """The batches of the pass, one in memory at a time where they are not those of the data."""
        if self.parts is None:
            return iter(self.data)
        examples = Examples(self.data)
        return (examples.take(part) for part in self.parts)


def plan_pass(data: Sequence[Batch], requested: Sequence[int | None], *, whole: bool = False) -> Pass:
    """Choose the examples of a pass.

    A viewer that wants so many examples gets the first of a fixed random order of all of them: the first of
    the data would be of one class if it is sorted, and evenly spaced ones if its classes come in turn. The
    same viewer sees the same examples whoever else looks on. If all viewers want everything, or the batches
    have to stay whole or cannot be taken apart, they come as they are, and each gives its share of its
    first examples.

    Args:
        data: All batches.
        requested: How many examples each viewer is shown at most; ``None`` for all.
        whole: Whether the batches have to stay as they are, as where BatchNorm uses their statistics.
    """
    sizes = [batch.size for batch in data]
    total = sum(sizes)
    counts = [total if n is None else min(n, total) for n in requested]
    if whole or all(n is None for n in requested) or not batches_joinable(data):
        starts = [0, *accumulate(sizes)]
        # Whole numbers of a running total: each viewer's shares add up to what it is due, without rounding.
        ends = [[at * n // total for at in starts] for n in counts]
        shares = [[e[i + 1] - e[i] for e in ends] for i in range(len(sizes))]
        rows = [
            [torch.arange(a, a + s[v]) for a, s in zip(starts, shares, strict=False)]
            for v in range(len(counts))
        ]
        return Pass(data, None, shares, [torch.cat(parts) for parts in rows])
    order = torch.randperm(total, generator=torch.Generator().manual_seed(SEED))[: max(counts)]
    # No larger than the largest batch of the caller, who has seen to it that this one fits into memory.
    parts = torch.split(order, max(sizes))
    starts = [0, *accumulate(len(part) for part in parts)]
    shares = [[min(b, n) - min(a, n) for n in counts] for a, b in pairwise(starts)]
    return Pass(data, parts, shares, [order[:n] for n in counts])


def sample(data: Sequence[Batch], count: int) -> list[Batch]:
    """The first ``count`` examples of a fixed random order, as `plan_pass` chooses them.

    All of them, in their own order, if there are no more.
    """
    if count >= sum(batch.size for batch in data):
        return list(data)
    plan = plan_pass(data, [count])
    pairs = zip(plan.batches(), plan.shares, strict=True)
    return [batch.first(share) for batch, (share,) in pairs if share]
