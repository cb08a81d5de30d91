"""Measure: losses and right answers of examples, from one process or put together from several."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from landscape.core.problem.answers.classification import Classification
from landscape.core.problem.answers.outputs import Reading
from landscape.core.problem.criterion import Criterion

__all__ = ["ExampleTable", "Measure", "PartialMeasure", "Watch", "cut_off", "measure"]

Watch = Callable[[Any, Any, int], None]
"""Told the output, the target and the size of a batch."""


@dataclass(frozen=True)
class Measure:
    """A problem evaluated at one point.

    Attributes:
        data_loss: Mean loss over the examples, without weight decay.
        penalty: The weight-decay term (λ/2)‖θ‖².
        losses: Loss per example (N,), float64 on the CPU; ``None`` if the loss only gives batch means.
        correct: Share of right answers per example that has a label that counts (N,), likewise; ``None`` if
            not a classification.
        void: Which examples have no label that counts (N,); ``None`` if each has one.
        weights: What each example weighs in the loss, with mean 1 (N,); ``None`` if all weigh the same.
        by_token: Whether the accuracy is that of all tokens, so that examples weigh there as in the loss.
    """

    data_loss: float
    penalty: float
    losses: Tensor | None
    correct: Tensor | None
    void: Tensor | None = None
    weights: Tensor | None = None
    by_token: bool = False

    @property
    def loss(self) -> float:
        """Data loss plus weight-decay term."""
        return self.data_loss + self.penalty

    @property
    def accuracy(self) -> float:
        """Share of right answers; NaN if not a classification."""
        return float("nan") if self.correct is None else float(self.spread_correct.mean())

    @property
    def spread_losses(self) -> Any:
        """Losses whose mean over examples is the data loss and whose standard error is that of it, (N,).

        A weighted mean Σ wᵢ ℓᵢ / Σ wᵢ is a ratio of two sums, both of which vary with the examples drawn: to
        first order it moves as the mean of L + wᵢ (ℓᵢ − L) does, with weights of mean 1 (Cochran 1977,
        Sampling Techniques, section 6.4). ``losses`` are wᵢ ℓᵢ, themselves where all weigh the same.
        """
        if self.losses is None or self.weights is None:
            return self.losses
        return self.losses - self.data_loss * (self.weights - 1.0)

    @property
    def spread_correct(self) -> Any:
        """Shares of right answers whose mean over examples is the accuracy, as `spread_losses`, (N,)."""
        if self.correct is None or self.weights is None or not self.by_token:
            return self.correct
        weights = self.weights if self.void is None else self.weights[~self.void]
        weights = weights / weights.mean()
        accuracy = (weights * self.correct).mean()
        return accuracy + weights * (self.correct - accuracy)


@dataclass(frozen=True)
class PartialMeasure:
    """What a pass over some examples gives.

    Attributes:
        examples: Their number n.
        total: Sum of the losses that came as batch means.
        losses: Loss per example (n,), float64 on the CPU; ``None`` if the loss only gives batch means.
        correct: Share of right answers per example (n,), likewise, −1 where no label counts; ``None`` if not
            a classification.
        weight: Sum of what the examples weigh in the loss; n if all weigh the same.
        weights: What each weighs (n,); ``None`` if all weigh the same.
    """

    examples: int
    total: float
    losses: Tensor | None
    correct: Tensor | None
    weight: float
    weights: Tensor | None = None

    @property
    def answers(self) -> tuple[Tensor | None, Tensor | None]:
        """Share of right answers of the examples that have a label that counts, and which have none."""
        if self.correct is None or not bool((self.correct < 0).any()):
            return self.correct, None
        void = self.correct < 0
        return self.correct[~void], void

    def whole(self, data_loss: float, penalty: float, by_token: bool) -> Measure:
        """These examples as all there are."""
        weights = None if self.weights is None else self.weights / self.weights.mean()
        return Measure(data_loss, penalty, self.losses, *self.answers, weights, by_token)


def measure(
    outcomes: Iterable[tuple[int, Any, Any]],
    loss: Criterion,
    reading: Reading | Classification,
    watch: Watch | None = None,
) -> PartialMeasure:
    """Losses and right answers of the examples of some batches.

    Args:
        outcomes: Size, output and target of each batch, made while they are used.
        loss: The loss.
        reading: How answers are read off outputs and targets.
        watch: Told each of them.
    """
    losses: list[Tensor] = []
    correct: list[Tensor] | None = []
    total, examples, weight = 0.0, 0, 0.0
    by_example: list[Tensor] = []
    for size, output, target in outcomes:
        examples += size
        if watch is not None:
            watch(output, target, size)
        values = loss(output, target).detach()
        if values.ndim == 0:
            total += float(loss.total(values.double(), size))
        else:
            losses.append(values.double())
        weights = loss.weights(output, target)
        weight += size if weights is None else float(weights.sum())
        by_example.append(torch.ones(size) if weights is None else weights.double().cpu())
        right = reading.correct(output, target)
        # One batch that is no classification, and there is no accuracy of the whole.
        correct = None if right is None or correct is None else [*correct, right]
    return PartialMeasure(
        examples,
        total,
        torch.cat(losses).cpu() if losses else None,
        torch.cat(correct).cpu() if correct else None,
        weight,
        torch.cat(by_example) if loss.weighs else None,
    )


def cut_off(tree: Any) -> Any:
    """An output, or tuple, list or mapping of them, without its graph."""
    if isinstance(tree, Tensor):
        return tree.detach() if tree.requires_grad else tree
    if isinstance(tree, tuple | list) and type(tree) in (tuple, list):
        return type(tree)(cut_off(part) for part in tree)
    if type(tree) is dict:
        return {key: cut_off(part) for key, part in tree.items()}
    return tree


class ExampleTable:
    """A table with a place for every example; the tables of several processes add up to one.

    Args:
        examples: Number N of examples of all processes.

    Attributes:
        values: The entries, all 0 at first: what to add up.
    """

    def __init__(self, examples: int) -> None:
        self._examples = examples
        # Losses, answers, weights, and four facts: one tensor, so that one sum over the processes suffices.
        # Each example is entered by one process and is zero in the others.
        self.values = torch.zeros(3 * examples + 4, dtype=torch.float64)
        parts = [examples, examples, examples, 4]
        self._losses, self._correct, self._weights, self._facts = torch.split(self.values, parts)

    def enter(self, part: PartialMeasure, start: int) -> None:
        """Enter what was measured on the examples from number ``start`` on."""
        own = slice(start, start + part.examples)
        if part.losses is not None:
            self._losses[own] = part.losses
        if part.correct is not None:
            self._correct[own] = part.correct
        if part.weights is not None:
            self._weights[own] = part.weights
        facts = [part.total, part.losses is None, part.correct is None, part.weights is not None]
        self._facts += torch.tensor(facts, dtype=torch.float64)

    def read(self) -> PartialMeasure:
        """What was measured on all examples."""
        total, without_losses, without_answers, weighed = self._facts.tolist()
        return PartialMeasure(
            self._examples,
            total,
            None if without_losses else self._losses,
            None if without_answers else self._correct,
            float(self._weights.sum()) if weighed else float(self._examples),
            self._weights if weighed else None,
        )
