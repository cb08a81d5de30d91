"""Hamiltonian Monte Carlo in whitened coordinates: the potential, the leapfrog and one transition."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from landscape.core.posterior.prior import GaussianPrior
from landscape.core.problem.problem import Problem
from landscape.errors import InputError

__all__ = ["Level", "Potential", "Transition", "leapfrog", "steps_of", "transition"]


@dataclass(frozen=True)
class Level:
    """The potential at a point, in parts of which differences lose nothing.

    Attributes:
        point: v (P,), float64.
        losses: −ln p(y_n | x_n, θ) by example (N,), float64; one number, their sum, where a loss only gives
            batch means.
    """

    point: Tensor
    losses: Tensor

    @property
    def value(self) -> float:
        """U = Σ losses + ½‖v‖²; the temperature is not in it."""
        return float(self.losses.sum() + 0.5 * self.point.square().sum())


class Potential:
    """U(v) = (N/τ) L(T v) + ½‖v‖²: minus the log posterior of whitened parameters, but for a constant.

    Args:
        problem: Its mean loss L is −ln p of an example: cross-entropy, ``half_squared_error`` (targets of
            unit variance), ``gaussian_nll``, or a loss of the user's.
        prior: Over the problem's parameters.
        temperature: τ, of the likelihood alone; below 1 for a cold posterior.

    Raises:
        InputError: If the problem has a weight decay (the prior would count twice), its loss is no log
            likelihood, the prior is one of other parameters, or the temperature is not positive.
    """

    def __init__(self, problem: Problem, prior: GaussianPrior, temperature: float = 1.0) -> None:
        if problem.weight_decay:
            raise InputError(
                f"the problem has a weight decay of {problem.weight_decay:g}, which is a prior too; leave it"
                " out and give its prior as variance = 1 / (examples * weight_decay)."
            )
        if problem.loss_name == "mse":
            raise InputError(
                "the loss 'mse' is no log likelihood; take 'half_squared_error', of targets of unit variance,"
                " or 'gaussian_nll'."
            )
        if prior.size != problem.size:
            raise InputError(f"the prior is one of {prior.size} parameters; the problem has {problem.size}.")
        if not 0.0 < temperature < math.inf:
            raise InputError(f"a temperature is positive and finite; got {temperature}.")
        self.problem = problem
        self.prior = prior
        self.temperature = temperature

    def theta(self, v: Tensor) -> Tensor:
        """θ = T v as the problem takes it."""
        return self.prior.colour(v).to(self.problem.theta)

    def gradient(self, v: Tensor) -> Tensor:
        """∇U (P,), float64."""
        slope = self.problem.gradient(self.theta(v))
        return v + self.prior.pull(slope) * (self.problem.examples / self.temperature)

    def at(self, v: Tensor) -> Level:
        """The potential at a point."""
        found = self.problem.measure(self.theta(v))
        if found.losses is None:
            return Level(v, torch.tensor([found.data_loss * self.problem.examples], dtype=torch.float64))
        return Level(v, found.losses)

    def difference(self, after: Level, before: Level) -> float:
        """U(after) − U(before), of differences by example and of entries: U itself is larger by far."""
        likelihood = float((after.losses - before.losses).sum()) / self.temperature
        return likelihood + _half_squares(after.point, before.point)


def leapfrog(
    gradient: Callable[[Tensor], Tensor], v: Tensor, p: Tensor, step: float, steps: int
) -> tuple[Tensor, Tensor]:
    """Follow Hamilton's equations of ½‖p‖² + U(v) for a while; reversible, and keeps volumes.

    Args:
        gradient: v ↦ ∇U(v).
        v: Where to start (P,).
        p: With which momentum (P,).
        step: ε.
        steps: How many.

    Returns:
        v and p at the end.

    Reference:
        Neal (2011), MCMC using Hamiltonian dynamics, equations 5.18 to 5.20.
    """
    p = p - 0.5 * step * gradient(v)
    for number in range(1, steps + 1):
        v = v + step * p
        p = p - (step if number < steps else 0.5 * step) * gradient(v)
    return v, p


@dataclass(frozen=True)
class Transition:
    """What one trajectory gave.

    Attributes:
        level: Where the chain stands after it: where it stood before, if the end was rejected.
        accept: Probability with which the end is accepted; 0 if the trajectory diverged.
        accepted: Whether it was.
        energy_error: Energy at the end less that at the start; NaN if it is no number.
    """

    level: Level
    accept: float
    accepted: bool
    energy_error: float


def transition(
    potential: Potential, level: Level, step: float, steps: int, generator: Generator
) -> Transition:
    """Draw a momentum, follow it, and take or refuse the end (Metropolis), which keeps the posterior.

    Args:
        potential: The potential.
        level: Where the chain stands.
        step: ε.
        steps: Leapfrog steps.
        generator: Of the momentum and of the test, on the CPU, so that the device does not change the draws.

    Reference:
        Neal (2011), MCMC using Hamiltonian dynamics, section 5.3.2.
    """
    start = level.point
    p = torch.randn(start.shape, generator=generator, dtype=torch.float64).to(start.device)
    threshold = float(torch.rand((), generator=generator, dtype=torch.float64))
    v, q = leapfrog(potential.gradient, start, p, step, steps)
    if not bool(v.isfinite().all()):  # what diverges is refused; a model need not take infinities
        return Transition(level, 0.0, False, math.nan)
    end = potential.at(v)
    error = potential.difference(end, level) + _half_squares(q, p)
    accept = 0.0 if math.isnan(error) else math.exp(min(0.0, -error))
    accepted = threshold < accept
    return Transition(end if accepted else level, accept, accepted, error)


def steps_of(length: float, step: float, most: int) -> tuple[int, float]:
    """Leapfrog steps of a trajectory of a length, and their size, of at most ``step``, that makes it exact.

    Where more than ``most`` steps would be needed the trajectory is that much shorter.
    """
    steps = max(1, math.ceil(length / step * (1.0 - 1e-12)))  # rounding must not add a step
    return (steps, length / steps) if steps <= most else (most, step)


def _half_squares(after: Tensor, before: Tensor) -> float:
    """½‖after‖² − ½‖before‖², each of the order of P, as a product that does not cancel."""
    return 0.5 * float(((after - before) * (after + before)).sum())
