"""Outputs: how what a model returns is read beside its targets, decided once per problem."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor

from landscape.core.data.batches import Batch
from landscape.core.problem.criterion import Criterion
from landscape.core.problem.losses import CROSS_ENTROPIES, IGNORE_INDEX, accuracy_per_example
from landscape.errors import InputError

__all__ = ["Reading", "Scale", "class_axes", "read_outputs", "scale_of", "settle_axis"]

Scale = Literal["logits", "probabilities", "log_probabilities"]
"""What the entries of outputs along the axis of classes are."""


@dataclass(frozen=True)
class Reading:
    """How outputs and targets are read, where targets are indices of classes.

    Attributes:
        axis: Axis of the classes in outputs, 1 as in torch or −1 as in language models; ``None`` if outputs
            and targets are no classification.
        scale: What the entries along it are.
        ignore_index: The label that counts nowhere; so do labels outside [0, C).
        doubt: A sentence where the problem's loss is another number than the outputs' negative
            log-likelihood so read; empty if they agree or cannot be compared.
    """

    axis: Literal[1, -1] | None = 1
    scale: Scale = "logits"
    ignore_index: int = IGNORE_INDEX
    doubt: str = ""

    def correct(self, output: Any, target: Any) -> Tensor | None:
        """Share of right answers per example (B,), −1 where no label counts; ``None`` without classes."""
        if self.axis is None or not torch.is_tensor(output):
            return None
        if self.axis == -1 and output.ndim > 2:
            output = output.movedim(-1, 1)
        return accuracy_per_example(output, target, self.ignore_index)

    def log_p(self, output: Tensor) -> Tensor:
        """Logarithmic probabilities up to a constant per position, classes along axis 1."""
        if self.axis == -1 and output.ndim > 2:
            output = output.movedim(-1, 1)
        return output.log() if self.scale == "probabilities" else output

    def counts(self, target: Tensor, classes: int) -> Tensor:
        """Which labels count, shaped as the target."""
        return (target >= 0) & (target < classes) & (target != self.ignore_index)

    def likelihoods(self, output: Tensor, target: Tensor) -> tuple[float, float]:
        """Mean negative log-likelihood over all labels that count, and over examples' own means, in nats."""
        log_p = F.log_softmax(self.log_p(output).double(), dim=1)
        counted = self.counts(target, log_p.shape[1])
        labels = target.long().where(counted, 0)
        entries = -log_p.gather(1, labels.unsqueeze(1)).squeeze(1)
        entries = entries.where(counted, 0.0)
        sums, numbers = entries.reshape(len(entries), -1).sum(1), counted.reshape(len(entries), -1).sum(1)
        some = numbers > 0
        return float(sums.sum() / numbers.sum()), float((sums[some] / numbers[some]).mean())

    def agrees(self, output: Tensor, target: Tensor, loss: float) -> bool:
        """Whether a loss is the negative log-likelihood of outputs so read."""
        tolerance = 1e-3 * max(1.0, abs(loss))
        return any(abs(found - loss) <= tolerance for found in self.likelihoods(output, target))

    def compared(self, output: Tensor, target: Tensor, loss: float, name: str) -> Reading:
        """The same, with a sentence of doubt if the loss is not its negative log-likelihood."""
        if self.agrees(output, target, loss):
            return self
        found = self.likelihoods(output, target)[1]
        what = self.scale.replace("_", "-")
        return replace(
            self,
            doubt=f"the loss {name} of the first batch is {loss:.4g}, but the negative log-likelihood of the"
            f" outputs read as {what} is {found:.4g}: scores of probabilities describe the outputs, not the"
            " loss",
        )


def class_axes(output: Any, target: Any) -> tuple[Literal[1, -1], ...]:
    """The axes of outputs that may be that of the classes; two where both readings fit, none if none does."""
    if not (torch.is_tensor(output) and torch.is_tensor(target)) or target.is_floating_point():
        return ()
    if output.ndim < 2 or (output.ndim == 2 and output.shape[1] < 2):
        return ()
    first = output.shape[:1] + output.shape[2:] == target.shape
    last = output.ndim > 2 and output.shape[:-1] == target.shape
    return (*((1,) if first else ()), *((-1,) if last else ()))


def scale_of(output: Tensor, axis: int) -> Scale:
    """Whether outputs are probabilities (not negative, sums of one), their logarithms, or logits."""
    values = output.detach().double()
    tolerance = max(1e-6, 20 * torch.finfo(output.dtype).eps) if output.is_floating_point() else 0.0
    if not bool(values.isfinite().all()) and not bool((values == -torch.inf).any()):
        return "logits"
    if bool((values >= 0).all()) and bool(((values.sum(axis) - 1).abs() <= tolerance).all()):
        return "probabilities"
    if bool((values <= 0).all()) and bool((values.logsumexp(axis).abs() <= tolerance).all()):
        return "log_probabilities"
    return "logits"


def read_outputs(output: Any, target: Any, values: Tensor, loss: Criterion, reading: Reading) -> Reading:
    """How a problem's outputs are read, from those of its first batch and the loss on it.

    Args:
        output: Output of the first batch.
        target: Its target.
        values: What the loss gave for them.
        loss: The loss.
        reading: What is known so far.
    """
    named = loss.name in CROSS_ENTROPIES
    axes = (reading.axis,) if named and class_axes(output, target) else class_axes(output, target)
    if not axes:
        return replace(reading, axis=None)
    size = len(output)
    mean = float(loss.total(values.double(), size)) / size
    if loss.weighs and values.ndim:  # the first batch's own weighted mean, as torch has it
        weights = loss.weights(output, target)
        if weights is not None and bool(weights.sum()):
            mean = float(values.double().sum() / loss.scale / weights.sum())
    readings = [replace(reading, axis=axis, scale=scale_of(output, axis or 1)) for axis in axes]
    if not named and (len(axes) > 1 or axes[0] == -1):
        # The last axis may be that of the classes and the loss still compare other pairs (the next token).
        readings = [r for r in readings if r.agrees(output, target, mean)]
        return readings[0] if readings else replace(reading, axis=None)
    chosen = readings[0]
    comparable = loss.plain and loss.name not in ("mse", "half_squared_error")
    return chosen.compared(output, target, mean, loss.name) if comparable else chosen


def settle_axis(
    output: Tensor, target: Tensor, batches: Sequence[Batch], run: Callable[[Batch], tuple[Any, Any]]
) -> Literal[1, -1]:
    """The axis of classes for a cross-entropy by name.

    Where both readings fit the first batch, a batch with targets of another shape tells.

    Args:
        output: Output of the first batch.
        target: Its target.
        batches: All batches.
        run: Output and target of a batch.

    Raises:
        InputError: If both readings fit throughout, with the sentence that names the cure.
    """
    axes = class_axes(output, target)
    if len(axes) > 1:
        others = (b for b in batches if torch.is_tensor(b.target) and b.target.shape[1:] != target.shape[1:])
        other = next(others, None)
        axes = axes if other is None else class_axes(*run(other))
    if len(axes) > 1:
        raise InputError(
            f"outputs {tuple(output.shape)} and targets {tuple(target.shape)} can be read with the classes"
            " along axis 1, as torch does, or along the last axis, as language models do; say which with"
            " torch.nn.CrossEntropyLoss() for axis 1, with 'token_cross_entropy' for the last, or 'causal_lm'"
            " there if labels are the tokens themselves."
        )
    return axes[0] if axes else 1  # class probabilities, or what the loss will refuse
