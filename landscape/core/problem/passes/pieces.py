"""Pieces: how the batches of a pass are cut and laid out in memory, where results depend on neither.

Processors convolve images that lie channels last faster, and work faster on what stays in their caches and in
the allocator than on what is paged in anew at each operation. What decides is the bytes that a model saves of
a few examples, and whether it gives the same outputs either way; never a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from landscape.core.ambient import under_own_context
from landscape.core.data.batches import Batch, tensors_in
from landscape.core.problem.passes.saved_bytes import count_saved_bytes

if TYPE_CHECKING:
    from landscape.core.problem.passes.folding import Fold
    from landscape.core.problem.problem import Problem

__all__ = [
    "GRAPH_BYTES",
    "LEAST_EXAMPLES",
    "Answers",
    "PassPlan",
    "agree",
    "answers",
    "cut",
    "even_pieces",
    "few",
    "in_trial",
    "is_divisible",
    "laid_out",
    "pieces",
    "takes_channels_last",
    "trial",
]

GRAPH_BYTES = 64 << 20
"""Largest graph of a micro-batch on a CPU: its temporaries then stay in the allocator instead of going back
to the system and coming anew, page by page, at each operation (measured: a fifth to a third of the time)."""

MAP_BYTES = 4 << 20
"""Largest tensor of a pass without a graph on a CPU: it is then in the cache still when the next layer reads
it (measured on ResNet-20, 64 KiB an example: a sixth of the time, the least at 32 to 64 examples)."""

LEAST_EXAMPLES = 8
"""Micro-batches are not cut below this: smaller ones make matrix products slow."""

_BatchNorm = nn.modules.batchnorm._BatchNorm

Answers = tuple[Tensor, Tensor | None]
"""Losses (B,) or a scalar, and the output if it is one tensor with a row for each example."""


_in_trial: ContextVar[bool] = ContextVar("landscape_in_trial", default=False)


def in_trial() -> bool:
    """Whether a pass is a trial, which nobody asked for: what listens to passes leaves it out."""
    return _in_trial.get()


@contextmanager
def trial() -> Iterator[None]:
    """Within it, passes are trials."""
    token = _in_trial.set(True)
    try:
        yield
    finally:
        _in_trial.reset(token)


def _may_try(problem: Problem) -> bool:
    """Whether trials disturb nobody: hooks may count passes, or change what they give for a while."""
    return not any(part._forward_hooks for part in problem.module.modules())


@dataclass
class PassPlan:
    """What is known of the passes of a problem, found out when it is needed; shared with its model.

    Attributes:
        as_given: Whether batches stay as they are, as where time has chosen their cut.
        graph_bytes: What a gradient saves for each entry of the inputs; ``None`` before it was counted.
        map_bytes: The largest tensor of it, likewise.
        divisible: Whether examples may be cut apart; ``None`` before it was tried.
        channels_last: Whether images may lie channels last; ``None`` before it was tried.
        folding: Whether the pass that is being made may run folded: `landscape.core.problem.passes.folding`.
        folds: What can be folded; ``None`` before it was found.
    """

    as_given: bool = False
    graph_bytes: float | None = None
    map_bytes: float = 0.0
    divisible: bool | None = None
    channels_last: bool | None = None
    folding: bool = False
    folds: list[Fold] | None = None


@under_own_context
def laid_out(problem: Problem, batch: Batch) -> Batch:
    """The batch in the layout that the problem's passes are fastest in; its numbers are the same."""
    return batch.channels_last() if takes_channels_last(problem, batch) else batch


def pieces(
    problem: Problem, batches: Iterable[Batch] | None = None, *, graph: bool = False
) -> Iterator[Batch]:
    """Batches as passes of the model take them: the same examples in the same order.

    On a CPU they are cut where the output and the loss of each example stay as they are up to rounding, and
    laid out as `takes_channels_last` says. They are not cut while a part of the model is in training mode,
    such as BatchNorm by statistics of the batch, where the loss is a mean over the batch, or while the
    problem is watched, since what a watch makes of outputs is its own.

    Args:
        problem: Whose model is run.
        batches: The batches, made while they are used; default: those of this process.
        graph: Whether each pass is followed by its gradient, whose graph takes memory.
    """
    for batch in problem.shard if batches is None else batches:
        for piece in cut(problem, batch, graph=graph):
            yield laid_out(problem, piece)


def even_pieces(batch: Batch, most: int) -> list[Batch]:
    """The batch in nearly equal pieces of at most so many examples, since a small last one would be slow."""
    return batch.split(ceil(batch.size / ceil(batch.size / most)))


@under_own_context
def cut(problem: Problem, batch: Batch, *, graph: bool = False, share: float = 1.0) -> list[Batch]:
    """A batch as `pieces` cuts it, in the layout that it has.

    Args:
        problem: Whose model is run.
        batch: The batch.
        graph: Whether each pass is followed by its gradient.
        share: Of the memory that is taken to stay in the cache, what the pass has for itself.
    """
    plan, entries = problem.passes, _entries(batch)
    if plan.as_given or problem.device.type != "cpu" or problem.watch is not None:
        return [batch]
    if batch.size <= LEAST_EXAMPLES or not entries or plan.divisible is False or not batch.splits:
        return [batch]
    if any(part.training for part in problem.module.modules()):
        return [batch]
    if (plan.graph_bytes is None or plan.divisible is None) and not _may_try(problem):
        return [batch]
    if plan.graph_bytes is None:
        _count(problem)
    saved, limit = (plan.graph_bytes, GRAPH_BYTES) if graph else (plan.map_bytes, MAP_BYTES)
    most = share * limit * batch.size / (max(saved or 0.0, 1e-9) * entries)
    if most >= batch.size or not is_divisible(problem):
        return [batch]
    return even_pieces(batch, max(LEAST_EXAMPLES, int(most)))


def _entries(batch: Batch) -> int:
    return sum(t.numel() for _, t in tensors_in(batch.inputs) if t.layout is torch.strided)


def _count(problem: Problem) -> None:
    """Count what the graph of a gradient saves of a few examples: it grows with their entries."""
    plan, sample = problem.passes, few(problem, LEAST_EXAMPLES)
    known = [*problem.module.parameters(), *problem.module.buffers()]
    with torch.enable_grad(), trial(), count_saved_bytes(known) as saved:
        try:
            problem.batch_loss(laid_out(problem, sample))
        except Exception:  # a model that runs without a graph alone may fail in any way: nothing is known
            plan.divisible = False
    entries = _entries(sample)
    plan.graph_bytes, plan.map_bytes = saved.total / entries, saved.largest / entries


def few(problem: Problem, examples: int) -> Batch:
    """The first of the data, all of the first batch if that cannot be cut."""
    return problem.first.split(examples)[0]


@torch.no_grad()
def is_divisible(problem: Problem) -> bool:
    """Whether examples can be cut apart with the same output and loss for each, tried on a few."""
    plan = problem.passes
    if plan.divisible is None:
        plan.divisible = _divides(problem, few(problem, LEAST_EXAMPLES))
    return bool(plan.divisible)


def _divides(problem: Problem, batch: Batch) -> bool | None:
    # Statistics of the batch tie its examples together.
    if problem.batchnorm == "batch" or batch.size < 2 or not batch.splits:
        return False
    parts = batch.split(ceil(batch.size / 2))

    def apart() -> Answers:
        found = [answers(problem, part) for part in parts]
        outputs = [each for _, each in found if each is not None]
        # a loss that is a mean over the batch has no parts to join
        return torch.cat([each for each, _ in found]), torch.cat(outputs) if outputs else None

    return agree(problem, lambda: answers(problem, batch), apart)


@torch.no_grad()
def takes_channels_last(problem: Problem, batch: Batch | None = None) -> bool:
    """Whether images lie in memory with their channels last, which processors convolve faster in float32.

    A few examples are tried, once: a model that takes its maps for vectors by a view refuses that layout. A
    part in training mode that is not BatchNorm, such as dropout, draws other numbers in it.

    Args:
        problem: Whose model is run.
        batch: What it is run on; default: its own data.
    """
    plan, batch = problem.passes, problem.first if batch is None else batch
    if plan.as_given or not problem.may_lay_channels_last or plan.channels_last is False:
        return False
    if problem.device.type != "cpu" or problem.dtype != torch.float32:
        return False
    if not any(t.ndim == 4 for _, t in tensors_in(batch.inputs)):
        return False
    if any(part.training and not isinstance(part, _BatchNorm) for part in problem.module.modules()):
        return False
    if plan.channels_last is None and _may_try(problem):
        plan.channels_last = _convolves(problem, few(problem, LEAST_EXAMPLES))
    return bool(plan.channels_last)


def _convolves(problem: Problem, batch: Batch) -> bool | None:
    if not any(isinstance(module, nn.Conv2d | nn.ConvTranspose2d) for module in problem.module.modules()):
        return False
    return agree(problem, lambda: answers(problem, batch), lambda: answers(problem, batch.channels_last()))


def answers(problem: Problem, batch: Batch) -> Answers:
    """What a problem's model gives for a batch, without its graph."""
    output, target = problem.output(batch)
    losses = problem._losses(output, target)
    by_example = isinstance(output, Tensor) and output.ndim > 0 and len(output) == batch.size
    return losses.detach(), output.detach() if by_example else None


def agree(problem: Problem, one: Callable[[], Answers], other: Callable[[], Answers]) -> bool | None:
    """Whether losses and outputs are the same up to rounding; ``None`` if they are not finite."""
    try:
        with trial():
            expected = one()
            if not bool(expected[0].isfinite().all()):
                return None  # at this point; elsewhere they may be
            found = other()
    except Exception:  # a model made for one size of batch or one layout may fail in any way
        return False
    # Other sizes and layouts take other kernels and round otherwise; a model that mixes examples is far off.
    dtype = torch.bfloat16 if problem.precision == "bfloat16" else problem.dtype
    tolerance = torch.finfo(dtype).eps ** 0.5
    return all(_near(a, b, tolerance) for a, b in zip(expected, found, strict=True) if a is not None)


def _near(a: Tensor, b: Tensor | None, tolerance: float) -> bool:
    if b is None or a.shape != b.shape:
        return False
    if not a.is_floating_point():
        return torch.equal(a, b)
    scale = float(a.abs().max()) if a.numel() else 0.0
    return torch.allclose(a, b, rtol=tolerance, atol=tolerance * scale, equal_nan=True)
