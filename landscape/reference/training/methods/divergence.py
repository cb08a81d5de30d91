"""The divergence of variational layers as a term of the loss: the other half of the evidence lower bound."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Generator, Tensor, nn

from landscape.errors import InputError
from landscape.reference.training.objective import Batch, Objective

__all__ = ["Divergence"]

Data = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Divergence(Objective):
    """KL divergence of the prior from the weights, nats over the number of training examples.

    ``CrossEntropy() + Divergence()`` is the negative evidence lower bound per example. Layers that have a
    ``divergence()``, such as those of `landscape.reference.uncertainty.variational`, are added up.

    Attributes:
        warmup: Share of the training during which its weight rises from 0 to 1, so that means are found
            before spreads grow.

    Raises:
        InputError: If the share is not within 0 and 1, or the network has no such layer.

    Reference:
        Blundell et al. (2015), Weight uncertainty in neural networks, section 3.
    """

    warmup: float = 0.1
    _count: dict[str, int] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 <= self.warmup <= 1:
            raise InputError(f"Divergence: warmup is a share of the training, not {self.warmup}.")

    def begin(self, model: nn.Module, data: Data, generator: Generator) -> None:
        """Count the training examples."""
        if not _layers(model):
            raise InputError(f"Divergence: {type(model).__name__} has no variational layers.")
        self._count["examples"] = len(data[1])

    def __call__(self, model: nn.Module, batch: Batch, generator: Generator) -> Tensor:
        """The divergence, whatever the batch."""
        weight = min(1.0, batch.progress / self.warmup) if self.warmup else 1.0
        total = torch.stack([layer.divergence() for layer in _layers(model)]).sum()
        return weight * total / self._count["examples"]


def _layers(model: nn.Module) -> list[Any]:
    return [part for part in model.modules() if callable(getattr(part, "divergence", None))]
