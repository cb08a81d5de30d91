"""Conversions: data in a form that has one reading, brought into the one that model and loss take."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from landscape.core.data.batches import Batch, batch_of, read_batches, tensors_in
from landscape.core.data.shared_copies import one_copy

if TYPE_CHECKING:
    from landscape.core.problem.problem import Problem

__all__ = ["Conversion", "casts", "convert", "converted", "name_of", "of_tensors", "other_batches"]

Part = Literal["inputs", "target"]


@dataclass(frozen=True)
class Conversion:
    """A change of every batch.

    Attributes:
        what: What is changed into what, for the record.
        change: A batch in the other form; one that has it already comes back as it is.
    """

    what: str
    change: Callable[[Batch], Batch]


def converted(batches: Iterable[Batch], conversions: Iterable[Conversion]) -> list[Batch]:
    """Batches in the form that model and loss take."""
    found = list(batches)
    for conversion in conversions:
        found = [conversion.change(batch) for batch in found]
    return [_shared(batch) for batch in found]


def _shared(batch: Batch) -> Batch:
    raw = one_copy(batch.raw)
    return batch if raw is batch.raw else replace(batch_of(raw, batch.size), counted=batch.counted)


def convert(problem: Problem, *conversions: Conversion) -> None:
    """Bring all batches of a problem into another form, and remember which."""
    if conversions:
        problem.conversions += conversions
        problem._take_share(converted(problem._all, conversions))


def other_batches(problem: Problem, data: Any) -> list[Batch]:
    """Other data, such as held-out, in batches no larger than the problem's and in the form of its own.

    Args:
        problem: The problem, whose conversions apply.
        data: What `landscape.Problem` takes as data.

    Raises:
        InputError: If the data cannot be read.
    """
    size = max(batch.size for batch in problem.batches)
    batches = read_batches(data, batch_size=size, device=problem.device, dtype=problem.dtype)
    return converted(batches, problem.conversions)


def of_tensors(part: Part, change: Callable[[Tensor], Tensor]) -> Callable[[Batch], Batch]:
    """A change of the tensors that the model or the loss gets, as one of batches.

    Example:
        >>> x = torch.zeros(2, 3)
        >>> double = of_tensors("inputs", Tensor.double)(Batch((x, x[:, 0]), x, x[:, 0], 2))
        >>> double.inputs.dtype, double.target.dtype
        (torch.float64, torch.float32)
    """

    def of_batch(batch: Batch) -> Batch:
        for _, old in tensors_in(getattr(batch, part)):
            new = change(old)
            if new is not old:
                batch = replace(batch.replace(old, new), counted=batch.counted)
        return batch

    return of_batch


def casts(
    batch: Batch, part: Part, dtype: torch.dtype, suits: Callable[[Tensor], bool], noun: str
) -> Conversion | None:
    """The conversion of some tensors to a type; ``None`` if no tensor of the batch is another.

    Args:
        batch: One that shows what there is.
        part: Which tensors.
        dtype: What they become.
        suits: Which of them may be changed.
        noun: What they are called in the record.
    """
    others = [t.dtype for _, t in tensors_in(getattr(batch, part)) if suits(t) and t.dtype != dtype]
    if not others:
        return None

    def change(tensor: Tensor) -> Tensor:
        return tensor.to(dtype) if suits(tensor) else tensor

    return Conversion(
        f"{noun} {', '.join(dict.fromkeys(map(name_of, others)))} -> {name_of(dtype)}",
        of_tensors(part, change),
    )


def name_of(dtype: Any) -> str:
    """A type's name as people say it.

    Example:
        >>> name_of(torch.float64)
        'float64'
    """
    return str(dtype).removeprefix("torch.")
