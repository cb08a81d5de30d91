"""Adversarial smoothing: the loss of inputs moved a little the way that raises it."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor, nn

from landscape.core.problem.losses import LOSSES
from landscape.errors import InputError, suggest
from landscape.reference.training.objective import Batch, Objective, frozen_statistics

__all__ = ["AdversarialSmoothing"]

Data = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class AdversarialSmoothing(Objective):
    """Mean loss of x + ε·sign(∇ₓℓ(x)), ε a share of the range of each input over the training examples.

    Beside the loss of x itself, as published: ``RegressionLoss() + AdversarialSmoothing(0.01)``. For inputs
    of any kind; an input that never changes is not moved. No gradient flows through the moved inputs, and
    both passes leave BatchNorm's running statistics alone. It smooths predictions about the training
    inputs; it is no defence.

    Attributes:
        share: Of the range of each input; 0.01 as published (2.55 for pixels from 0 to 255).
        loss: ``gaussian_nll``, ``mse`` or ``cross_entropy``, see `landscape.core.problem.losses`.

    Raises:
        InputError: If the share is negative, there is no such loss, or examples are mixed.

    Reference:
        Lakshminarayanan et al. (2017), Simple and scalable predictive uncertainty, section 2.3, algorithm 1.
    """

    share: float = 0.01
    loss: str = "gaussian_nll"
    _step: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.share >= 0:
            raise InputError(f"AdversarialSmoothing: share must be at least 0, not {self.share}.")
        if self.loss not in LOSSES:
            raise InputError(
                f"AdversarialSmoothing: there is no loss '{self.loss}'; {suggest(self.loss, LOSSES)}"
            )

    def begin(self, model: nn.Module, data: Data, generator: Generator) -> None:
        """Take the ranges of the inputs."""
        inputs = data[0]
        self._step["step"] = self.share * (inputs.amax(0) - inputs.amin(0))

    def __call__(self, model: nn.Module, batch: Batch, generator: Generator) -> Tensor:
        """The loss of the moved batch."""
        if batch.share != 1.0:
            raise InputError(
                "AdversarialSmoothing has no loss of mixed examples; train without mixup and cutmix."
            )
        x = batch.inputs.detach().requires_grad_()
        step = self._step["step"] = self._step["step"].to(x.device)
        with frozen_statistics(model):
            loss = LOSSES[self.loss](model(x), batch.targets).sum()
            (slope,) = torch.autograd.grad(loss, x)
            moved = model((x + step * slope.sign()).detach())
        return LOSSES[self.loss](moved, batch.targets).mean()
