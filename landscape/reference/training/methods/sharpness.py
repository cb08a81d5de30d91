"""SAM: a loss that is small in a whole neighbourhood of the weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.func import functional_call

from landscape.errors import InputError
from landscape.reference.training.objective import Batch, CrossEntropy, Objective, frozen_statistics

__all__ = ["SharpnessAware"]


@dataclass(frozen=True)
class SharpnessAware(Objective):
    """The cross-entropy at θ + e, its largest value nearby to first order, with e = `radius` · g/‖g‖₂.

    g is the gradient of the batch's loss at θ, all parameters together, and e a constant: the weights take
    the step that the gradient at θ + e asks for. The pass at θ + e leaves BatchNorm's running statistics
    alone, so that they are those of the network that is saved.

    Attributes:
        radius: ρ, in units of the weights; 0 is plain training at twice the cost.
        label_smoothing: Share of each target that is spread evenly over all classes.

    Raises:
        InputError: If a number is out of range.

    Reference:
        Foret et al. (2021), Sharpness-aware minimization for efficiently improving generalization, equations
        2 and 3, without the second-order term, as there.
    """

    radius: float = 0.05
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not self.radius >= 0:
            raise InputError(f"SharpnessAware: radius must be at least 0, not {self.radius}.")
        CrossEntropy(self.label_smoothing)

    def __call__(self, model: nn.Module, batch: Batch, generator: Generator) -> Tensor:
        """The loss of the batch at the worst point nearby."""
        loss = CrossEntropy(self.label_smoothing)
        named = {name: p for name, p in model.named_parameters() if p.requires_grad}
        # the graph is kept: other terms of an objective may go back through the outputs at θ
        slopes = torch.autograd.grad(
            loss(model, batch, generator), list(named.values()), allow_unused=True, retain_graph=True
        )
        found = [torch.zeros_like(p) if g is None else g for p, g in zip(named.values(), slopes, strict=True)]
        length = torch.stack([g.norm() for g in found]).norm()
        scale = self.radius / length.clamp_min(1e-12)
        moved = {name: p + scale * g for (name, p), g in zip(named.items(), found, strict=True)}
        with frozen_statistics(model):
            outputs = functional_call(model, moved, (batch.inputs,))
        # a batch of its own: what other terms of an objective see are the outputs at θ
        there = Batch(batch.inputs, batch.targets, batch.rows, batch.progress, batch.share)
        there._outputs.append(outputs)
        return loss(model, there, generator)
