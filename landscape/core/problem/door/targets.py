"""Targets: in which form a loss takes them, where it does not take them as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from landscape.core.data.batches import Batch, tensors_in
from landscape.core.problem.answers.outputs import class_axes
from landscape.core.problem.door.conversions import Conversion, casts, convert, name_of, of_tensors
from landscape.errors import InputError

if TYPE_CHECKING:
    from landscape.core.problem.problem import Problem

__all__ = ["loss_advice", "retry_loss", "settle_targets"]


def settle_targets(problem: Problem, output: Any, target: Any) -> Any:
    """The first batch's target in the form that the loss takes; the problem's data is brought into it.

    Only of the losses that are known: torch's own, and those by name. What they take stays as it is.

    Args:
        problem: One whose model has run.
        output: Output of the first batch.
        target: Its target.

    Raises:
        InputError: If the targets are of no form that the loss can be meant to take.
    """
    first = problem.first.target
    if not (torch.is_tensor(output) and torch.is_tensor(target) and torch.is_tensor(first)):
        return target
    # What a forward of the user's returns as the target is the user's own.
    if target.shape != first.shape or not torch.equal(_plain(target), _plain(first)):
        return target
    kind = problem.criterion.kind
    changes: list[Conversion] = []
    if kind == "target" and output.ndim > 1:
        changes = _of_classes(output, target, problem._all, problem.loss_name)
    elif kind == "entry":
        changes = _of_entries(output, target, problem._all)
    convert(problem, *changes)
    return problem.first.target if changes else target


def _plain(tensor: Tensor) -> Tensor:
    return (
        tensor.detach().to_dense().nan_to_num() if tensor.is_floating_point() else tensor.detach().to_dense()
    )


def _of_classes(output: Tensor, target: Tensor, batches: Sequence[Batch], loss: str) -> list[Conversion]:
    """What makes class numbers of the targets of a loss that takes them."""
    if output.ndim == 2 and output.shape[1] == 1:
        raise InputError(
            f"the model has one output, over which {loss} is 0 whatever the parameters are: take"
            " torch.nn.BCEWithLogitsLoss() for one logit, or loss='mse' for a number."
        )
    probabilities = target.is_floating_point() and target.shape == output.shape
    if probabilities or target.is_complex():
        return []
    if target.shape == output.shape and not class_axes(output, target):
        return [_from_one_hot(output, batches)]
    squeezed = _squeezed(output, target)
    if squeezed is None:
        raise _unfit(output, target, loss)
    axis, shape = squeezed
    found = []
    if axis is not None:
        found.append(
            Conversion(
                f"labels {_shape(target.shape)} -> {_shape(shape)}",
                of_tensors("target", partial(_without_axis, axis)),
            )
        )
    if target.is_floating_point():
        _check_whole(batches, loss)
    numbers = casts(batches[0], "target", torch.int64, lambda labels: True, "labels")
    return [*found, *([numbers] if numbers else [])]


def _squeezed(output: Tensor, target: Tensor) -> tuple[int | None, Sequence[int]] | None:
    """Which axis of length 1 labels have too many, and their shape without it; ``None`` if none does it."""
    labels = torch.empty(target.shape, dtype=torch.int64, device="meta")
    if class_axes(output, labels):
        return None, target.shape
    for axis in (1, -1):
        if target.ndim > 1 and target.shape[axis] == 1 and class_axes(output, labels.squeeze(axis)):
            return axis, labels.squeeze(axis).shape
    return None


def _without_axis(axis: int, labels: Tensor) -> Tensor:
    return labels.squeeze(axis)


def _unfit(output: Tensor, target: Tensor, loss: str) -> InputError:
    classes = _shape((*output.shape[:1], *output.shape[2:]))
    return InputError(
        f"{loss} of outputs {_shape(output.shape)} takes class numbers {classes}, or probabilities"
        f" {_shape(output.shape)}; the targets are {_shape(target.shape)} {name_of(target.dtype)}."
    )


def _check_whole(batches: Sequence[Batch], loss: str) -> None:
    """Raise unless all labels are whole numbers."""
    for index, batch in enumerate(batches):
        labels = batch.target
        if not torch.is_tensor(labels):
            continue
        odd = labels[~(labels.isfinite() & (labels == labels.round()))]
        if len(odd):
            raise InputError(
                f"{loss} takes class numbers, and batch {index} has the target"
                f" {float(odd.reshape(-1)[0]):.6g}: take loss='mse' for numbers, or give class numbers 0, 1,"
                " ... as integers."
            )


def _from_one_hot(output: Tensor, batches: Sequence[Batch]) -> Conversion:
    """What makes class numbers of whole numbers that are shaped as the outputs."""
    fits = [
        axis for axis in dict.fromkeys((1, output.ndim - 1)) if all(_one_hot(b.target, axis) for b in batches)
    ]
    if len(fits) != 1:
        raise InputError(
            f"the targets {_shape(output.shape)} are whole numbers shaped as the outputs, but not one 1 among"
            " 0 per example: for several labels per example take torch.nn.BCEWithLogitsLoss() and float"
            " targets, for one give its class number, for probabilities give floats."
        )
    axis = fits[0]
    return Conversion(
        f"one-hot labels {_shape(output.shape)} -> class numbers",
        of_tensors("target", lambda labels: labels.to(torch.int64).argmax(axis)),
    )


def _one_hot(labels: Any, axis: int) -> bool:
    numbers = labels.to(torch.int64)
    return bool(((numbers == 0) | (numbers == 1)).all()) and bool((numbers.sum(axis) == 1).all())


def _of_entries(output: Tensor, target: Tensor, batches: Sequence[Batch]) -> list[Conversion]:
    """What shapes the targets as the outputs, where they differ in axes of length 1 after the first."""
    if output.shape == target.shape or _long(output.shape) != _long(target.shape):
        return []
    rest = output.shape[1:]
    if any(prod(batch.target.shape[1:]) != prod(rest) for batch in batches):
        return []
    return [
        Conversion(
            f"targets {_shape(target.shape)} -> {_shape(output.shape)}",
            of_tensors("target", lambda values: values.reshape(len(values), *rest)),
        )
    ]


def _long(shape: Sequence[int]) -> list[int]:
    return [*shape[:1], *(n for n in shape[1:] if n > 1)]


def _shape(shape: Sequence[int]) -> str:
    """A shape with a letter for the examples, whose number differs from batch to batch.

    Example:
        >>> _shape((21, 3)), _shape((21,))
        ('(B, 3)', '(B,)')
    """
    return f"(B,{''.join(f' {n},' for n in shape[1:])}".rstrip(",") + (")" if len(shape) > 1 else ",)")


def retry_loss(problem: Problem, attempt: Callable[[], Tensor]) -> Tensor | None:
    """Losses of the first batch once its targets are of the type that the loss takes; ``None`` if of none.

    Args:
        problem: One whose loss failed on the first batch.
        attempt: Applies the loss to the first batch.
    """
    first = problem.first
    if problem._forward.function is not None and problem._forward.takes_batch:
        return None
    tries = [
        casts(first, "target", torch.int64, _is_small_whole, "targets"),
        casts(first, "target", problem.dtype, Tensor.is_floating_point, "targets"),
    ]
    if problem.criterion.kind == "entry":  # compares numbers, which classes are not
        tries.append(casts(first, "target", problem.dtype, lambda t: not t.is_complex(), "targets"))
    for change in filter(None, tries):
        before = problem._all, problem.conversions
        convert(problem, change)
        try:
            return attempt()
        except Exception:  # as the loss failed before, in any way
            batches, problem.conversions = before
            problem._take_share(batches)
    return None


def _is_small_whole(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() and not tensor.is_complex() and tensor.dtype != torch.bool


def loss_advice(output: Any, target: Any) -> str:
    """What to do about targets that a loss cannot take; empty if nothing is known."""
    if target is None or (target == () and not torch.is_tensor(target)):
        return "the batches hold no target: give (inputs, targets), or a loss of the outputs alone."
    if torch.is_tensor(output) and torch.is_tensor(target):
        if output.shape != target.shape and _long(output.shape) == _long(target.shape):
            return f"give targets of shape {tuple(output.shape)}: targets.reshape{tuple(output.shape)}."
        if output.shape[:1] != target.shape[:1]:
            return f"outputs are of {len(output)} examples and targets of {len(target)}; give one for each."
        return ""
    if not torch.is_tensor(output) and next(tensors_in(output), None) is not None:
        return (
            f"the model returns a {type(output).__name__}: say which part the loss is of, with forward=lambda"
            " model, batch: model(batch[0])[0]."
        )
    return ""
