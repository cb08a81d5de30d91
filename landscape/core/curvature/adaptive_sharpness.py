"""Worst-case sharpness: how far the loss can rise within a ball about the parameters, of several shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landscape.core.ambient import under_own_context
from landscape.core.linalg.reductions import norms
from landscape.core.problem.problem import Problem
from landscape.errors import InputError, suggest

__all__ = ["Ball", "Scale", "Sharpness", "adaptive_sharpness", "parameter_scales"]

Array = NDArray[np.float64]

Scale = Literal["none", "parameter", "filter"]
"""What T is: the identity, |θ|, or the norm of the filter that a parameter belongs to."""

Ball = Literal["l2", "linf"]
"""Which norm of T⁻¹ε is bounded."""


@dataclass(frozen=True)
class Sharpness:
    """Rises of the loss within neighbourhoods of several radii.

    Attributes:
        radii: ρ (r,).
        linear: Rise ρ‖T∇L‖_q of the linearised loss, q the dual of the ball's norm (r,).
        first_order: Rise at the worst point of the linearised loss (r,).
        ascent: Largest rise that was found by ascent (r,), never less than ``first_order`` or zero.
        gradients: Gradients taken.
    """

    radii: Array
    linear: Array
    first_order: Array
    ascent: Array
    gradients: int


def parameter_scales(problem: Problem, eta: float = 0.0, scale: Scale = "parameter") -> Tensor:
    """The diagonal of T, (P,): 1, |θ| + η, or ‖f‖₂ + η of the filter f that a parameter is in.

    A filter is a slice along the first axis of a weight of two axes or more; parameters in no filter (biases,
    scales of norms) are scaled by |θ| + η (Kwon et al. 2021, equation 6).
    """
    if scale not in get_args(Scale):
        raise InputError(f"sharpness knows no scale '{scale}'; {suggest(scale, get_args(Scale))}")
    if scale == "none":
        return torch.ones_like(problem.theta)
    if scale == "parameter":
        return problem.theta.abs() + eta
    pieces = []
    for w in problem.space.unflatten(problem.theta).values():
        filters = norms(w.flatten(1)).view(-1, *[1] * (w.ndim - 1)) if w.ndim > 1 else w.abs()
        pieces.append(filters.expand_as(w))
    return problem.space.flatten(pieces) + eta


@under_own_context
def adaptive_sharpness(
    problem: Problem,
    radii: Sequence[float],
    *,
    steps: int = 5,
    eta: float = 0.0,
    scale: Scale = "parameter",
    ball: Ball = "l2",
    restarts: int = 0,
    seed: int = 0,
    on_progress: Callable[[float], None] = lambda fraction: None,
) -> Sharpness:
    """Estimate max L(θ + ε) - L(θ) over ‖T⁻¹ε‖_p <= ρ (Foret et al. 2021; Kwon et al. 2021).

    With T = |θ| and η = 0 it does not change when weights are rescaled without changing the function, as by
    θ_i -> cθ_i, θ_j -> θ_j/c for layers around a ReLU; parameters that are zero then do not move. L is the
    problem's loss over all its examples, weight decay included.

    The maximum of a function that is not concave cannot be computed. ``first_order`` is the loss at the
    worst point of the linearised loss: s = T⁻¹ε = ρ T∇L/‖T∇L‖₂ for p = 2, one step of ASAM, and
    s = ρ sign(T∇L) for p = ∞. ``ascent`` goes on from there by projected steps of length h along the same
    directions, with h falling linearly from ρ to ρ/steps, onto ‖s‖₂ <= ρ or |s_i| <= ρ; does the same from
    random starts on the boundary; and takes the highest loss met: a lower bound of the maximum.

    Costs 1 + r · (steps · (1 + restarts) + restarts) gradients at most and as many losses.

    Args:
        problem: The problem.
        radii: Each ρ > 0; of a relative scale a pure number, such as the relative change √Σ(ε/θ)².
        steps: Ascent steps for each radius and start; 0 for the first order only.
        eta: η >= 0, in the unit of the parameters.
        scale: What T is, see `parameter_scales`.
        ball: ``l2`` for p = 2, ``linf`` for p = ∞.
        restarts: Random starts beside the one along the gradient.
        seed: Seed of random starts.
        on_progress: Called with the finished fraction.

    Raises:
        InputError: If a radius, the steps, the restarts or η is out of range.
    """
    if not all(r > 0 for r in radii) or steps < 0 or not eta >= 0 or restarts < 0:
        raise InputError(
            "sharpness needs every radius > 0, steps >= 0, restarts >= 0 and eta >= 0; got"
            f" {list(radii)}, {steps}, {restarts}, {eta}."
        )
    if ball not in get_args(Ball):
        raise InputError(f"sharpness knows no ball '{ball}'; {suggest(ball, get_args(Ball))}")
    shape = parameter_scales(problem, eta, scale)
    center = problem.loss()
    draw = torch.Generator().manual_seed(seed)

    def rise(s: Tensor) -> float:
        return problem.measure(problem.theta + shape * s).loss - center

    def slope(s: Tensor | None) -> Tensor:
        return shape * problem.gradient(None if s is None else problem.theta + shape * s)

    def climb(s: Tensor, radius: float) -> list[float]:
        rises = [rise(s)]
        for step in range(steps):
            s = _within(s + radius * (1 - step / steps) * _along(slope(s), ball), radius, ball)
            rises.append(rise(s))
        return rises

    first = slope(None)
    steepest = float(norms(first)) if ball == "l2" else float(first.abs().double().sum())
    linear, highest = np.zeros(len(radii)), np.zeros(len(radii))
    for index, radius in enumerate(radii):
        rises = climb(radius * _along(first, ball), radius)
        linear[index] = rises[0]
        for _ in range(restarts):
            rises += climb(radius * _random(problem, ball, draw), radius)
        # `max` keeps or drops a NaN by its place in the list, so that broken losses are told apart first.
        highest[index] = max(0.0, *rises) if np.isfinite(rises).all() else _worst(rises)
        on_progress((index + 1) / len(radii))
    taken = 1 + len(radii) * steps * (1 + restarts)
    given = np.asarray(radii, dtype=np.float64)
    return Sharpness(given, given * steepest, linear, highest, taken)


def _along(slope: Tensor, ball: Ball) -> Tensor:
    """The direction in the unit ball that goes uphill most steeply."""
    if ball == "linf":
        return slope.sign()
    length = norms(slope)
    # At a stationary point no way leads up: stay there, rather than make NaN of 0/0.
    return slope / length if float(length) > 0 else slope


def _within(s: Tensor, radius: float, ball: Ball) -> Tensor:
    """The nearest point of the ball."""
    return s.clamp(-radius, radius) if ball == "linf" else s * (radius / max(radius, float(norms(s))))


def _random(problem: Problem, ball: Ball, draw: torch.Generator) -> Tensor:
    """A random point of the unit ball's boundary: a vertex of the cube, a direction of the sphere."""
    # In float64 on the CPU, so that a seed means the same start for any problem.
    s = torch.randn(problem.size, generator=draw, dtype=torch.float64)
    s = s.sign() if ball == "linf" else s / s.norm()
    return s.to(problem.device, problem.dtype)


def _worst(rises: Sequence[float]) -> float:
    """Infinity if the loss overflowed, else NaN."""
    return float("inf") if np.inf in rises else float("nan")
