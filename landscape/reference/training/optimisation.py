"""Optimisers and learning rates of the training loop, by name."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import nn

__all__ = ["OptimizerName", "ScheduleName", "learning_rate_factor", "make_optimizer"]

OptimizerName = Literal["adamw", "sgd"]
ScheduleName = Literal["constant", "cosine", "warmup_cosine", "step"]

WARMUP = 0.1  # of all steps


def make_optimizer(
    name: OptimizerName, model: nn.Module, lr: float, weight_decay: float
) -> torch.optim.Optimizer:
    """The optimiser of all parameters of a model.

    Args:
        name: ``"adamw"`` (decoupled weight decay) or ``"sgd"`` (momentum 0.9; its weight decay is a term of
            the loss).
        model: The model.
        lr: Learning rate.
        weight_decay: Applied to every parameter.
    """
    if name == "adamw":
        return torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=weight_decay, fused=True)
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=weight_decay)


def learning_rate_factor(schedule: ScheduleName, progress: float) -> float:
    """The learning rate in units of its largest, after the fraction `progress` of all steps.

    Example:
        >>> [learning_rate_factor("warmup_cosine", t) for t in (0.05, 0.1, 1.0)]
        [0.5, 1.0, 0.0]
    """
    if schedule == "step":
        return float(0.2 ** sum(progress >= at for at in (0.3, 0.6, 0.8)))
    if schedule == "warmup_cosine":
        if progress < WARMUP:
            return progress / WARMUP
        progress = (progress - WARMUP) / (1 - WARMUP)
    return 1.0 if schedule == "constant" else 0.5 * (1 + math.cos(math.pi * progress))
