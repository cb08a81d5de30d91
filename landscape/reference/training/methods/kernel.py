"""The loss of DUQ: each kernel as a yes or no, and a penalty on its slope by the input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from landscape.errors import InputError
from landscape.reference.training.objective import Batch, Objective

__all__ = ["KernelLoss", "gradient_penalty"]


@dataclass(frozen=True)
class KernelLoss(Objective):
    """Binary cross-entropy of the kernels with one-hot labels, and λ·mean (‖∇ₓ Σ_c K_c‖ − 1)².

    The penalty is two-sided: features shall neither tear nor collapse distances. Centroids follow the
    embeddings of each batch, as the pass in training mode finds them; the published code lets them follow
    after the step, by another pass. The network is a `landscape.reference.uncertainty.DUQ`; mixed or
    unlabelled examples are not looked at.

    Attributes:
        penalty: λ; 0 for none.

    Raises:
        InputError: If the penalty is negative, or the network has no kernels.

    Reference:
        van Amersfoort et al. (2020), equations 2, 5 and 6.
    """

    penalty: float = 0.05

    def __post_init__(self) -> None:
        if not self.penalty >= 0.0:
            raise InputError(f"KernelLoss: the penalty is not negative, not {self.penalty}.")

    def begin(self, model: nn.Module, data: Any, generator: Generator) -> None:
        """Refuse a network without kernels."""
        if not all(hasattr(model, name) for name in ("embeddings", "log_kernels", "move_centroids")):
            raise InputError(f"KernelLoss: {type(model).__name__} has no kernels; make one by duq_network.")

    def __call__(self, model: Any, batch: Batch, generator: Generator) -> Tensor:
        """The loss of the batch."""
        x = batch.inputs.detach().requires_grad_(self.penalty > 0)
        embeddings = model.embeddings(x)
        log_k = model.log_kernels(embeddings)
        labels = functional.one_hot(batch.targets, log_k.shape[1]).to(log_k)
        # ln(1 − K) from ln K; K rounds to 1 at the centroid
        others = torch.log(-torch.expm1(log_k.clamp(max=-1e-6)))
        loss: Tensor = -(labels * log_k + (1.0 - labels) * others).mean()
        if self.penalty:
            loss = loss + self.penalty * gradient_penalty(log_k.exp().sum(1), x)
        model.move_centroids(embeddings.detach(), batch.targets)
        return loss


def gradient_penalty(outputs: Tensor, x: Tensor) -> Tensor:
    """Mean of (‖∇ₓ output‖ − 1)² over examples, of one output each, which can be differentiated.

    Args:
        outputs: (N,).
        x: What they are of (N, ...), with a gradient.
    """
    (slope,) = torch.autograd.grad(outputs.sum(), x, create_graph=True)
    # at a slope of zero the norm has no derivative; autograd takes 0
    penalty: Tensor = (torch.linalg.vector_norm(slope.flatten(1), dim=1) - 1.0).square().mean()
    return penalty
