"""A few more epochs for a trained network, in memory: what compressions do between or after their steps."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from landscape.core.problem.memory_layout import has_unsound_convolution, sound_convolutions
from landscape.errors import InputError
from landscape.reference.training.optimisation import learning_rate_factor, make_optimizer

__all__ = ["tune"]


def tune(
    model: nn.Module,
    data: tuple[Tensor, Tensor],
    *,
    epochs: int = 2,
    lr: float = 3e-3,
    batch_size: int = 64,
    seed: int = 0,
    after_step: Callable[[nn.Module], None] | None = None,
) -> nn.Module:
    """A copy of a classifier trained on for a few epochs: AdamW, the learning rate falling as a cosine.

    Unlike `landscape.reference.training.train` it keeps no state on disk. The caller's random numbers are
    left as they were, and one seed gives the same bits. A recipe may name it, as the control of what a
    compression gains by training: ``after=(PostProcessing(tune, {"epochs": 2}), ...)``.

    Args:
        model: The trained model; it is left alone.
        data: Inputs (N, ...) and labels (N,).
        epochs: Passes through the data; 0 for a copy.
        lr: Largest learning rate.
        batch_size: Examples of a step.
        seed: Decides the order of the examples, and dropout.
        after_step: Called with the copy after each step, such as to keep weights at zero.

    Returns:
        The copy, in eval mode.

    Raises:
        InputError: If an option is out of range, there is nothing to train or to train on, or the loss
            becomes NaN or infinite.
    """
    if epochs < 0 or not lr > 0 or batch_size < 1:
        raise InputError(
            f"tune: epochs are at least 0, lr is positive and batch_size at least 1; got {epochs}, {lr} and"
            f" {batch_size}."
        )
    tuned = copy.deepcopy(model)
    inputs, labels = data
    if len(inputs) != len(labels) or len(labels) == 0:
        raise InputError(
            f"tune needs as many inputs as labels, and at least one; there are {len(inputs)} inputs and"
            f" {len(labels)} labels."
        )
    if not any(parameter.requires_grad for parameter in tuned.parameters()):
        raise InputError(
            f"tune: {type(model).__name__} has no parameter to train; let some require gradients."
        )
    device = next(tuned.parameters()).device
    solver = make_optimizer("adamw", tuned, lr, 0.0)
    devices: list[Any] = [device] if device.type == "cuda" else []
    generator = torch.Generator().manual_seed(seed)
    tuned.train()
    with torch.random.fork_rng(devices=devices), sound_convolutions(has_unsound_convolution(tuned)):
        torch.default_generator.manual_seed(seed)  # dropout
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        for epoch in range(epochs):
            batches = torch.split(torch.randperm(len(labels), generator=generator), batch_size)
            for index, rows in enumerate(batches):
                for group in solver.param_groups:
                    group["lr"] = lr * learning_rate_factor("cosine", (epoch + index / len(batches)) / epochs)
                solver.zero_grad()
                loss = functional.cross_entropy(tuned(inputs[rows].to(device)), labels[rows].to(device))
                if not torch.isfinite(loss):
                    raise InputError(f"tune: the loss is {loss.item()} in epoch {epoch + 1}; lower lr {lr}.")
                torch.autograd.backward(loss)
                solver.step()
                if after_step is not None:
                    after_step(tuned)
    return tuned.eval()
