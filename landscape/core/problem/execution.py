"""How a problem is executed: size of micro-batch, memory layout and precision, at equal meaning."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from landscape.core.ambient import under_own_context
from landscape.core.data.batches import Batch, batches_joinable, rebatch, tensors_in
from landscape.core.problem.passes.folding import folding
from landscape.core.problem.passes.pieces import PassPlan, pieces
from landscape.core.problem.problem import Problem
from landscape.core.problem.sharding import Sharding
from landscape.errors import InputError

__all__ = [
    "BatchLayout",
    "fastest_batch_layout",
    "in_bfloat16",
    "with_batch_layout",
]

SIZES = (16, 32, 64, 128, 256)  # micro-batches tried
PROBED_EXAMPLES = 256
ROUNDS = 3  # the least time of so many counts


@dataclass(frozen=True)
class BatchLayout:
    """How data is cut into micro-batches and laid out in memory.

    Attributes:
        micro_batch: Examples per micro-batch; 0 for the batches as they came.
        channels_last: Whether images (B, C, H, W) are stored channels last.

    With neither, passes are cut and laid out by their bytes: `landscape.core.problem.passes.pieces`.
    """

    micro_batch: int = 0
    channels_last: bool = False


def fastest_batch_layout(problem: Problem, *, keep_batches: bool = False) -> BatchLayout:
    """Time forward passes over the first examples under every cut and return the fastest.

    Losses agree between cuts up to rounding. Batches are left as they are where another cut would change
    the meaning (batch statistics, a loss that gives only a mean per batch) or is not possible.

    Args:
        problem: What is to be run.
        keep_batches: Whether to leave the batches as they are in any case.
    """
    if not problem.shard:
        return BatchLayout()
    sample = copy.copy(problem)
    sample.sharding = Sharding()  # each process tunes for itself
    sample.shard = _first_batches(problem, PROBED_EXAMPLES)
    known = sum(b.size for b in sample.shard)
    sizes = [0]
    keep_batches |= problem.batchnorm == "batch" or not batches_joinable(problem.shard)
    # Without a loss per example the loss is a mean over each batch, which depends on the cut.
    if not keep_batches and sample.measure().losses is not None:
        sizes += [size for size in SIZES if size <= known]
    images = any(t.ndim == 4 and t.is_floating_point() for _, t in tensors_in(problem.shard[0].inputs))
    images &= problem.may_lay_channels_last
    cuts = [BatchLayout(size, last) for size in sizes for last in ((False, True) if images else (False,))]
    trials = {cut: with_batch_layout(sample, cut) for cut in cuts}
    # A loss may depend on how data is cut without saying so; a cut that changes it is no faster way to it.
    plain = sample.loss()
    near = math.sqrt(torch.finfo(problem.dtype).eps) * abs(plain)
    trials = {cut: t for cut, t in trials.items() if cut == cuts[0] or abs(t.loss() - plain) <= near}
    best = dict.fromkeys(trials, float("inf"))
    for _ in range(ROUNDS):  # interleaved, so that a slow spell hits all alike
        for cut, trial in trials.items():
            best[cut] = min(best[cut], _seconds(trial))
    return min(best, key=best.__getitem__)


def with_batch_layout(problem: Problem, cut: BatchLayout) -> Problem:
    """The same problem with its data cut otherwise; it shares the private model with ``problem``.

    Raises:
        InputError: If batches that differ in form would have to be joined.
    """
    if cut == BatchLayout():
        return problem
    batches = problem.shard
    if cut.micro_batch and batches:
        batches = rebatch(batches, cut.micro_batch)
    other = copy.copy(problem)
    other.passes = PassPlan(as_given=True)
    other.shard = [batch.channels_last() for batch in batches] if cut.channels_last else batches
    return other


def in_bfloat16(problem: Problem) -> Problem:
    """The same problem with forward passes in bfloat16 where torch deems that safe (autocast).

    Parameters stay in float32 and losses are computed in float32. It shares the private model.

    Raises:
        InputError: If the problem is not in float32.
    """
    if problem.dtype != torch.float32:
        raise InputError(f"bfloat16 passes need a float32 model; this one is {problem.dtype}.")
    other = copy.copy(problem)
    other.__class__ = _InBfloat16  # a copy that shares all state, with another way to run the model
    if not other.passes.as_given:
        other.passes = PassPlan()  # what rounds less coarsely may find otherwise
    return other


class _InBfloat16(Problem):
    """A problem whose forward passes run under autocast."""

    @property
    def precision(self) -> str:
        """What its products are rounded to."""
        return "bfloat16"

    @under_own_context
    def output(self, batch: Batch, state: Mapping[str, Tensor] | None = None) -> tuple[Any, Any]:
        # no cache of cast weights: they change from point to point
        with torch.autocast(self.device.type, torch.bfloat16, cache_enabled=False):
            output, target = super().output(batch, state)
        return (output.float() if isinstance(output, Tensor) else output), target


def _first_batches(problem: Problem, examples: int) -> list[Batch]:
    """The first whole batches that hold at least so many examples, or all."""
    count = 0
    for index, batch in enumerate(problem.shard):
        count += batch.size
        if count >= examples:
            return problem.shard[: index + 1]
    return problem.shard


@torch.no_grad()
def _seconds(problem: Problem) -> float:
    """Time of a forward pass over all batches."""
    start = time.perf_counter()
    with folding(problem):
        for batch in pieces(problem):
            problem.output(batch)
    if problem.device.type == "cuda":
        torch.cuda.synchronize(problem.device)
    return time.perf_counter() - start
