"""The graphs of a problem's micro-batches: built one at a time, or kept from product to product."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import nn

from landscape.core.data import Batch, tensors_in
from landscape.core.memory import count_saved_bytes, fair_share
from landscape.core.problem import Problem

__all__ = ["Graphs"]

G = TypeVar("G")


class Graphs(Generic[G]):
    """Graphs by micro-batch, kept across passes if they fit a memory budget.

    The first pass builds each graph, uses it and drops it, so that a single product needs little memory.
    A second pass at the same parameters keeps the graphs if their size, estimated by counting what autograd
    saves for the first micro-batch, fits the budget. Kept graphs are dropped as soon as a parameter or
    buffer of the problem has been written to. Kept or built again, the numbers are the same bits.

    On the CPU in float32, images go through convolutions in the channels-last layout if the model takes it.

    Args:
        problem: The problem.
        build: Makes the graph of a micro-batch, given it and its index.
        budget: Bytes that kept graphs may take; ``None`` for `fair_share`, 0 to keep none.
    """

    def __init__(self, problem: Problem, build: Callable[[Batch, int], G], budget: int | None) -> None:
        self._problem = problem
        self._build = build
        self._budget = budget
        self._channels_last: bool | None = None
        self._kept: list[G] = []
        self._version = -1  # of the problem at the last pass
        self._bytes: int | None = None

    @property
    def kept(self) -> bool:
        """Whether graphs are being kept now."""
        return bool(self._kept)

    def release(self) -> None:
        """Drop kept graphs."""
        self._kept.clear()

    def each(self, use: Callable[[G, bool], None]) -> None:
        """Call ``use(graph, kept)`` for every micro-batch; a graph that is not kept may be consumed."""
        again = self._version == self._problem.version
        if not again:
            self.release()
        self._version = self._problem.version
        if self._kept:
            for graph in self._kept:
                use(graph, True)
            return
        keep = again and self._fits()
        kept = []
        for index in range(len(self._problem.batches)):
            graph = self._graph(index)
            use(graph, keep)
            if keep:
                kept.append(graph)
            del graph  # before the next is built
        self._kept = kept

    def _graph(self, index: int) -> G:
        if self._channels_last is None:
            self._channels_last = _takes_channels_last(self._problem)
        batch = self._problem.batches[index]
        return self._build(batch.channels_last() if self._channels_last else batch, index)

    def _fits(self) -> bool:
        if self._budget is None:
            self._budget = fair_share(self._problem.device)
        if self._budget <= 0:
            return False
        if self._bytes is None:
            problem = self._problem
            with count_saved_bytes() as saved:
                graph = self._graph(0)
                per_example = saved.total / problem.batches[0].size
                del graph
            gradients = len(problem.batches) * problem.theta.nbytes
            self._bytes = int(per_example * problem.examples) + gradients
        return self._bytes <= self._budget


@torch.no_grad()
def _takes_channels_last(problem: Problem) -> bool:
    """Whether the channels-last layout helps and gives the same loss; a model that uses views may refuse."""
    batch = problem.batches[0]
    images = any(t.ndim == 4 for _, t in tensors_in(batch.inputs))
    convolutions = any(isinstance(module, nn.Conv2d) for module in problem.module.modules())
    if problem.device.type != "cpu" or problem.dtype != torch.float32 or not (images and convolutions):
        return False
    try:
        found = problem.batch_loss(batch.channels_last())
    except RuntimeError:
        return False
    return torch.allclose(found, problem.batch_loss(batch), rtol=1e-3)
