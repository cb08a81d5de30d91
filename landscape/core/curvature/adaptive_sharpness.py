"""Adaptive sharpness: how far the loss can rise within a small relative change of the parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from landscape.core.ambient import under_own_context
from landscape.core.linalg.reductions import norms
from landscape.core.problem.problem import Problem
from landscape.errors import InputError

__all__ = ["Sharpness", "adaptive_sharpness", "parameter_scales"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sharpness:
    """Rises of the loss within neighbourhoods of several radii.

    Attributes:
        radii: ρ (r,).
        first_order: Rise at ρ T²∇L/‖T∇L‖, the worst point of the linearised loss (r,).
        ascent: Largest rise that was found by ascent (r,), never less than ``first_order`` or zero.
        gradients: Gradients taken.
    """

    radii: Array
    first_order: Array
    ascent: Array
    gradients: int


def parameter_scales(problem: Problem, eta: float = 0.0) -> Tensor:
    """The diagonal |θ| + η of T, (P,)."""
    return problem.theta.abs() + eta


@under_own_context
def adaptive_sharpness(
    problem: Problem,
    radii: Sequence[float],
    *,
    steps: int = 5,
    eta: float = 0.0,
    on_progress: Callable[[float], None] = lambda fraction: None,
) -> Sharpness:
    """Estimate max L(θ + ε) - L(θ) over ‖T⁻¹ε‖₂ <= ρ with T = diag(|θ| + η) (Kwon et al. 2021).

    With η = 0 it does not change when weights are rescaled without changing the function, as by
    θ_i -> cθ_i, θ_j -> θ_j/c for layers around a ReLU; parameters that are zero then do not move. L is the
    problem's loss over all its examples, weight decay included.

    The maximum of a function that is not concave cannot be computed. ``first_order`` is the loss at the
    worst point of the linearised loss, one step of ASAM. ``ascent`` goes on from there in s = T⁻¹ε by
    projected gradient steps s <- ρ s'/max(ρ, ‖s'‖), s' = s + h T∇L/‖T∇L‖ with h falling linearly from ρ to
    ρ/steps, and takes the highest loss met: a lower bound of the maximum.

    Costs 1 + r · steps gradients and as many losses.

    Args:
        problem: The problem.
        radii: Each ρ > 0; a pure number, the relative change √Σ(ε/θ)².
        steps: Ascent steps for each radius; 0 for the first order only.
        eta: η >= 0, in the unit of the parameters.
        on_progress: Called with the finished fraction.

    Raises:
        InputError: If a radius, the steps or η is out of range.
    """
    if not all(r > 0 for r in radii) or steps < 0 or not eta >= 0:
        raise InputError(
            f"sharpness needs every radius > 0, steps >= 0 and eta >= 0; got {list(radii)}, {steps}, {eta}."
        )
    scale = parameter_scales(problem, eta)
    center = problem.loss()

    def rise(s: Tensor) -> float:
        return problem.measure(problem.theta + scale * s).loss - center

    def uphill(s: Tensor | None) -> Tensor:
        slope = scale * problem.gradient(None if s is None else problem.theta + scale * s)
        length = norms(slope)
        # At a stationary point no way leads up: stay there, rather than make NaN of 0/0.
        return slope / length if float(length) > 0 else slope

    first = uphill(None)
    linear, highest = np.zeros(len(radii)), np.zeros(len(radii))
    for index, radius in enumerate(radii):
        s = radius * first
        linear[index] = rise(s)
        rises = [0.0, linear[index]]
        for step in range(steps):
            s = s + radius * (1 - step / steps) * uphill(s)
            s = s * (radius / max(radius, float(norms(s))))
            rises.append(rise(s))
        # `max` keeps or drops a NaN by its place in the list, so that broken losses are told apart first.
        highest[index] = max(rises) if np.isfinite(rises).all() else _worst(rises)
        on_progress((index + 1) / len(radii))
    return Sharpness(np.asarray(radii, dtype=np.float64), linear, highest, 1 + len(radii) * steps)


def _worst(rises: Sequence[float]) -> float:
    """Infinity if the loss overflowed, else NaN."""
    return float("inf") if np.inf in rises else float("nan")
