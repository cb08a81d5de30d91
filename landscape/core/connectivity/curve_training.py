"""Training of curves between two models: low-loss Bézier curves and polygonal chains."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor

from landscape.core.ambient import under_own_context
from landscape.core.connectivity.curve import Curve
from landscape.core.data.batches import Batch, Examples, batches_joinable
from landscape.core.linalg.reductions import sum_of_squares
from landscape.core.problem.batchnorm import batch_statistics, running_layers
from landscape.core.problem.derivatives.gradient import check_gradient
from landscape.core.problem.problem import Problem
from landscape.errors import InputError

__all__ = [
    "CurveTraining",
    "TrainingState",
    "batchwise_batchnorm",
    "check_loss",
    "epoch_batches",
    "learning_rate",
    "loss_and_gradient",
    "train_bends",
]

FLAT, LOW, FLOOR = 0.5, 0.9, 0.01
"""The learning rate stays until `FLAT` of the training and falls linearly to `FLOOR` of it at `LOW`."""

MIX = 1_000_003  # more than any training has epochs: no draws of two seeds are the same


@dataclass(frozen=True)
class CurveTraining:
    """How control points are trained; the defaults are those of Yang et al. (2021).

    Attributes:
        epochs: Passes over the data.
        lr: Learning rate at the start.
        momentum: Of SGD.
        batch_size: Examples per step.
        weight_decay: λ of the term (λ/2)‖θ(t)‖².
        seed: Of the order of examples and of t.
    """

    epochs: int = 50
    lr: float = 0.01
    momentum: float = 0.9
    batch_size: int = 64
    weight_decay: float = 0.0
    seed: int = 0


@dataclass
class TrainingState:
    """All that a training needs to go on.

    Attributes:
        points: Control points (m, P), the ends included.
        velocity: Of the inner ones (m − 2, P).
        losses: Mean loss along the path in each epoch so far, weight-decay term included.
    """

    points: Tensor
    velocity: Tensor
    losses: list[float] = field(default_factory=list)

    @classmethod
    def start(cls, path: Curve) -> TrainingState:
        """The state before the first epoch; the path's points are copied."""
        return cls(path.points.clone(), torch.zeros_like(path.points[1:-1]))


@under_own_context
def train_bends(
    problem: Problem,
    path: Curve,
    settings: CurveTraining,
    *,
    state: TrainingState | None = None,
    on_epoch: Callable[[TrainingState], None] = lambda state: None,
) -> Curve:
    """Lower the mean loss along a path by moving its inner control points (Garipov et al. 2018).

    Each step draws t ~ U(0, 1) and a batch, takes the gradient g of the loss at θ(t), weight-decay term
    included, and moves point pᵢ along −∂θ(t)/∂pᵢ g by SGD with momentum: an unbiased estimate of the
    gradient of ∫ L(θ(t)) dt (their equation 2). BatchNorm normalises by the batch at hand. What of the
    model is not θ stays that of the problem's model.

    Args:
        problem: Whose loss and data.
        path: Where to start; only its shape counts once there is a ``state``.
        settings: How to train.
        state: From where to go on, from ``on_epoch``; it is changed in place. A training that goes on gives
            the same bits as one that was never stopped.
        on_epoch: Called with the state after each epoch.

    Returns:
        The trained path.

    Raises:
        InputError: If there is nothing to train, or the loss is no longer finite.
    """
    if len(path.points) < 3:
        raise InputError("a line has no inner points to train; give a path with bends.")
    state = TrainingState.start(path) if state is None else state
    curve = Curve(path.kind, state.points, path.knots)
    scratch = torch.empty_like(problem.theta)
    with batchwise_batchnorm(problem):
        for epoch in range(len(state.losses), settings.epochs):
            # A generator for each epoch: a training that goes on needs no generator's state. Odd seeds draw
            # t, even ones the order of the examples.
            draws = torch.Generator().manual_seed((settings.seed * MIX + 2 * epoch + 1) % 2**64)
            total, steps = 0.0, _steps(problem, settings)
            for step, batch in enumerate(epoch_batches(problem, settings, epoch)):
                t = float(torch.rand((), generator=draws, dtype=torch.float64))
                theta = curve.write(t, scratch)
                loss, gradient = loss_and_gradient(problem, theta, batch, settings.weight_decay)
                total += loss * batch.size
                shares = torch.as_tensor(curve.weights(t)[1:-1]).to(gradient)
                state.velocity.mul_(settings.momentum).add_(torch.outer(shares, gradient))
                rate = learning_rate((epoch + step / steps) / settings.epochs, settings.lr)
                state.points[1:-1].sub_(state.velocity, alpha=rate)
            state.losses.append(check_loss(total / problem.examples, epoch))
            on_epoch(state)
    return Curve(path.kind, state.points, path.knots)


@under_own_context
def loss_and_gradient(
    problem: Problem, theta: Tensor, batch: Batch, weight_decay: float
) -> tuple[float, Tensor]:
    """Mean loss over a batch and its gradient (P,) at ``theta``, weight-decay term included."""
    problem.vouch(check_gradient)
    with problem.at(theta), torch.enable_grad():
        loss = problem.batch_loss(batch)
        # A parameter that the forward pass does not use has the gradient zero.
        gradients = torch.autograd.grad(loss, problem.parameters, allow_unused=True)
    gradient = problem.flatten_grads(gradients).div_(batch.size)
    value = float(loss.detach()) / batch.size
    if weight_decay:
        gradient.add_(theta, alpha=weight_decay)
        value += 0.5 * weight_decay * sum_of_squares(theta)
    return value, gradient


def learning_rate(fraction: float, lr: float) -> float:
    """The rate after a ``fraction`` of the training: constant, then linear, then 1 % (Garipov et al. 2018).

    Example:
        >>> [round(learning_rate(f, 1.0), 3) for f in (0.0, 0.5, 0.7, 0.9, 1.0)]
        [1.0, 1.0, 0.505, 0.01, 0.01]
    """
    fallen = min(max((fraction - FLAT) / (LOW - FLAT), 0.0), 1.0)
    return lr * (1.0 - (1.0 - FLOOR) * fallen)


def epoch_batches(problem: Problem, settings: CurveTraining, epoch: int) -> Iterator[Batch]:
    """The examples of an epoch in an order of its own, in even batches.

    Batches that cannot be mixed, since they differ in form, come as they are in an order of their own.
    """
    draws = torch.Generator().manual_seed((settings.seed * MIX + 2 * epoch) % 2**64)
    if not batches_joinable(problem.batches):
        for index in torch.randperm(len(problem.batches), generator=draws).tolist():
            yield problem.batches[index]
        return
    order = torch.randperm(problem.examples, generator=draws)
    examples = Examples(problem.batches)
    # Even parts: the statistics of a last batch of a few examples would be noise, those of one do not exist.
    for part in torch.tensor_split(order, _steps(problem, settings)):
        yield examples.take(part)


def batchwise_batchnorm(problem: Problem) -> AbstractContextManager[None]:
    """Within it, BatchNorm layers normalise by the batch at hand."""
    return batch_statistics(problem) if running_layers(problem.module) else nullcontext()


def check_loss(loss: float, epoch: int) -> float:
    """The loss.

    Raises:
        InputError: If it is NaN or infinite.
    """
    if not math.isfinite(loss):
        raise InputError(
            f"training of the path diverged in epoch {epoch + 1}: the loss is {loss}; lower the lr."
        )
    return loss


def _steps(problem: Problem, settings: CurveTraining) -> int:
    if not batches_joinable(problem.batches):
        return len(problem.batches)
    return math.ceil(problem.examples / settings.batch_size)
