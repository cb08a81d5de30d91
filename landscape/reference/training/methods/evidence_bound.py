"""The evidence lower bound of a Gaussian process on features, as a loss."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Generator, Tensor, nn

from landscape.errors import InputError
from landscape.reference.training.objective import Batch, Objective

__all__ = ["EvidenceBound"]


@dataclass(frozen=True)
class EvidenceBound(Objective):
    """−ELBO per training example, nats, of a `landscape.reference.uncertainty.DUE`.

    Inducing points and length scale start from the features of training examples. Mixed examples are not
    looked at.

    Attributes:
        samples: Draws of the expected log-likelihood in each step.

    Raises:
        InputError: If there is no draw, or the network has no such bound.

    Reference:
        Hensman et al. (2015), Scalable variational Gaussian process classification, equation 18.
    """

    samples: int = 8
    _count: dict[str, int] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise InputError(f"EvidenceBound needs at least one draw, not {self.samples}.")

    def begin(self, model: nn.Module, data: Any, generator: Generator) -> None:
        """Count the training examples, and start the process from their features."""
        if not hasattr(model, "negative_elbo"):
            raise InputError(
                f"EvidenceBound: {type(model).__name__} has no Gaussian process; make one by due_network."
            )
        self._count["examples"] = len(data[1])
        start: Any = model.start
        start(data[0].to(next(model.parameters()).device), generator)

    def __call__(self, model: Any, batch: Batch, generator: Generator) -> Tensor:
        """The loss of the batch."""
        loss: Tensor = model.negative_elbo(batch.inputs, batch.targets, self._count["examples"], self.samples)
        return loss
