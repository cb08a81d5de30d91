"""The graphs of a problem's micro-batches: built one at a time, or kept from product to product."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from landscape.core.curvature.memory import fair_share
from landscape.core.data.batches import Batch
from landscape.core.problem.passes import pieces
from landscape.core.problem.passes.folding import folding
from landscape.core.problem.passes.saved_bytes import count_saved_bytes
from landscape.core.problem.problem import Problem

__all__ = ["GraphCache"]

G = TypeVar("G")


@dataclass(frozen=True)
class _Plan:
    """How a pass over the data goes.

    Attributes:
        pieces: The micro-batches of this process.
        channels_last: Whether images are laid out channels last.
        bytes: What the graphs of all pieces take together.
    """

    pieces: list[Batch]
    channels_last: bool
    bytes: int


class GraphCache(Generic[G]):
    """Graphs by micro-batch, kept across passes if they fit a memory budget.

    The first pass builds each graph, uses it and drops it, so that a single product needs little memory.
    A second pass at the same parameters keeps the graphs if their size, estimated by counting what autograd
    saves for a few examples, fits the budget. Kept graphs are dropped as soon as a parameter or buffer of
    the problem has been written to. Kept or built again, the numbers are the same bits.

    On the CPU, batches whose graph would take more than 64 MiB are cut into smaller ones where that leaves
    the loss of every example as it is, and in float32 images go through convolutions in the channels-last
    layout if the model takes it and the problem allows it.

    Args:
        problem: The problem.
        budget: Bytes that kept graphs may take; ``None`` for `fair_share`, 0 to keep none.
    """

    def __init__(self, problem: Problem, budget: int | None) -> None:
        self._problem = problem
        self._budget = budget
        self._plan: _Plan | None = None
        self._kept: list[G] = []
        self._version = -1  # of the problem at the last pass

    @property
    def kept(self) -> bool:
        """Whether graphs are being kept now."""
        return bool(self._kept)

    def release(self) -> None:
        """Drop kept graphs."""
        self._kept.clear()

    def each(self, build: Callable[[Batch, int], G], use: Callable[[G, bool], None]) -> None:
        """Use the graph of every micro-batch.

        Args:
            build: Makes a graph, given a micro-batch and how many examples come before it.
            use: Called with each graph and whether it is kept; one that is not may be consumed.
        """
        # A second pass at one point says that there will be more: a single product would pay for keeping.
        again = self._version == self._problem.version
        if not again:
            self.release()
        self._version = self._problem.version
        if self._kept:
            for graph in self._kept:
                use(graph, True)
            return
        if self._plan is None:
            self._plan = self._make_plan(build)
        keep = again and self._fits(self._plan)
        kept = []
        start = self._problem.start
        for piece in self._plan.pieces:
            with folding(self._problem):
                graph = build(piece.channels_last() if self._plan.channels_last else piece, start)
            start += piece.size
            use(graph, keep)
            if keep:
                kept.append(graph)
            del graph  # before the next is built
        self._kept = kept

    def _fits(self, plan: _Plan) -> bool:
        if self._budget is None:
            self._budget = fair_share(self._problem.device)
        return plan.bytes <= self._budget

    def _make_plan(self, build: Callable[[Batch, int], G]) -> _Plan:
        problem = self._problem
        if not problem.shard:
            return _Plan([], False, 0)
        channels_last = pieces.takes_channels_last(problem)
        divisible = problem.device.type == "cpu" and pieces.is_divisible(problem)
        # What autograd saves grows with the examples, so a few tell what all would take.
        sample = problem.shard[0]
        if divisible:
            sample = sample.split(pieces.LEAST_EXAMPLES)[0]
        if channels_last:
            sample = sample.channels_last()
        known = [*problem.module.parameters(), *problem.module.buffers()]
        with folding(problem), count_saved_bytes(known) as saved:
            build(sample, 0)
        per_example = saved.total / sample.size
        del saved  # which holds what it counted
        cut = problem.shard
        if divisible:
            most = max(pieces.LEAST_EXAMPLES, int(pieces.GRAPH_BYTES / max(per_example, 1.0)))
            cut = [piece for batch in problem.shard for piece in pieces.even_pieces(batch, most)]
        # A kept graph also holds the gradient that it gives, one vector of P per piece.
        gradients = len(cut) * problem.size * problem.theta.element_size()
        examples = sum(piece.size for piece in cut)
        return _Plan(cut, channels_last, int(per_example * examples) + gradients)
