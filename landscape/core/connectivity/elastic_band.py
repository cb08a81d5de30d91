"""Nudged elastic band: a chain of models that relaxes into the lowest pass between two minima."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landscape.core.ambient import under_own_context
from landscape.core.connectivity.curve import Curve
from landscape.core.connectivity.curve_training import (
    CurveTraining,
    TrainingState,
    batchwise_batchnorm,
    check_loss,
    epoch_batches,
    learning_rate,
    loss_and_gradient,
)
from landscape.core.data.batches import Batch
from landscape.core.linalg.reductions import length, norms, sum_of_squares
from landscape.core.problem.problem import Problem
from landscape.errors import InputError

__all__ = ["BandTraining", "missing_pivots", "nudged_forces", "relax_band", "tangents"]

Array = NDArray[np.float64]

PROBES = 9
"""Places looked at between two neighbouring pivots before inserting more."""
EXCESS = 0.2
"""A segment gets a pivot where the loss exceeds linear interpolation by this share of its range."""


@dataclass(frozen=True)
class BandTraining(CurveTraining):
    """How a band is relaxed.

    Attributes:
        cycles: Parts of the training; between two of them, pivots are inserted where they are missing.
        spring: Stiffness k of the springs between neighbours.
    """

    cycles: int = 4
    spring: float = 1.0


@under_own_context
def relax_band(
    problem: Problem,
    path: Curve,
    settings: BandTraining,
    *,
    state: TrainingState | None = None,
    on_epoch: Callable[[TrainingState], None] = lambda state: None,
) -> Curve:
    """AutoNEB (Draxler et al. 2018, section 3): relax, insert pivots where the loss bulges, relax again.

    At each step every pivot feels the loss gradient across the band and springs along it, see
    `nudged_forces`, on the same batch for all pivots; SGD with momentum moves them. BatchNorm normalises by
    the batch at hand.

    Args: as in `train_bends`; ``path`` is a polychain.

    Returns:
        A polychain whose knots are spaced as its pivots are.

    Raises:
        InputError: If there are no pivots, or the loss is no longer finite.
    """
    if len(path.points) < 3:
        raise InputError("a band needs at least one pivot between its ends.")
    state = TrainingState.start(path) if state is None else state
    ends_of_cycles = {settings.epochs * c // settings.cycles for c in range(1, settings.cycles)}
    with batchwise_batchnorm(problem):
        for epoch in range(len(state.losses), settings.epochs):
            if epoch in ends_of_cycles:
                insert_pivots(problem, state, settings)
            batches = list(epoch_batches(problem, settings, epoch))
            total = 0.0
            for step, batch in enumerate(batches):
                energies, force = _forces(problem, state.points, batch, settings)
                total += float(energies.mean()) * batch.size
                state.velocity.mul_(settings.momentum).sub_(force)
                rate = learning_rate((epoch + step / len(batches)) / settings.epochs, settings.lr)
                state.points[1:-1].sub_(state.velocity, alpha=rate)
            state.losses.append(check_loss(total / problem.examples, epoch))
            on_epoch(state)
    return at_constant_speed(state.points)


def nudged_forces(points: Tensor, energies: Array, gradients: Tensor, spring: float) -> Tensor:
    """Forces on the pivots (m − 2, P): −∇L across the band, spring forces along it.

    F = −(g − (g·τ)τ) + k(‖p₊ − p‖ − ‖p − p₋‖)τ (Draxler et al. 2018, equations 4 to 6).

    Args:
        points: All points of the band (m, P).
        energies: Their losses (m,).
        gradients: Loss gradients at the pivots (m − 2, P).
        spring: Stiffness k.
    """
    tau = tangents(points, energies)
    across = gradients - (gradients * tau).sum(1, keepdim=True) * tau
    lengths = norms(points[1:] - points[:-1])
    force: Tensor = spring * (lengths[1:] - lengths[:-1])[:, None] * tau - across
    return force


def tangents(points: Tensor, energies: Array) -> Tensor:
    """Unit tangents at the pivots (m − 2, P) that keep the band from kinks (Henkelman & Jónsson 2000).

    On a slope, the step to or from the neighbour of higher loss, as Draxler et al. use everywhere; at a
    maximum or minimum along the band, both steps, weighed by the rises (their equations 8 to 11).
    """
    rise = np.diff(energies)
    back, ahead = rise[:-1], rise[1:]
    slope = back * ahead > 0
    larger, smaller = np.maximum(abs(back), abs(ahead)), np.minimum(abs(back), abs(ahead))
    up = energies[2:] > energies[:-2]
    share = np.where(slope, up.astype(float), np.where(up, larger, smaller))
    other = np.where(slope, 1.0 - up, np.where(up, smaller, larger))
    steps = points[1:] - points[:-1]
    weights = torch.as_tensor(np.stack([other, share])[:, :, None]).to(points)
    chosen = weights[0] * steps[:-1] + weights[1] * steps[1:]
    # Pivots that coincide have no direction: zero, then, and not NaN.
    unit: Tensor = chosen / norms(chosen, keepdim=True).clamp_min(torch.finfo(points.dtype).tiny)
    return unit


@under_own_context
def insert_pivots(problem: Problem, state: TrainingState, settings: BandTraining) -> None:
    """Insert a pivot wherever the loss between two neighbours exceeds linear interpolation too far."""
    inner = torch.linspace(0, 1, PROBES + 2, dtype=torch.float64)[1:-1].tolist()
    at_points = np.array([_loss(problem, p, settings) for p in state.points])
    between = np.array(
        [
            [_loss(problem, torch.lerp(low, high, share), settings) for share in inner]
            for low, high in zip(state.points[:-1], state.points[1:], strict=True)
        ]
    )
    places = missing_pivots(at_points, between)
    points, velocity = [state.points[0]], []
    ends = torch.zeros_like(state.points[0])
    speeds = [*state.velocity, ends]
    for segment, share in enumerate(places):
        low, high = state.points[segment], state.points[segment + 1]
        if share is not None:
            points.append(torch.lerp(low, high, share))
            velocity.append(ends)
        points.append(high)
        velocity.append(speeds[segment])
    state.points = torch.stack(points)
    state.velocity = torch.stack(velocity[:-1])


def missing_pivots(at_points: Array, between: Array) -> list[float | None]:
    """Where in each segment a pivot is missing, as a share of the segment; ``None`` where none is.

    It is where the loss exceeds the linear interpolation between the segment's ends most, if that is more
    than `EXCESS` of the range of the losses at all points seen.

    Args:
        at_points: Losses at the points (m,).
        between: Losses at evenly spaced places in each segment (m − 1, k).

    Example:
        >>> missing_pivots(np.array([0.0, 1.0, 0.0]), np.array([[0.25, 0.5, 0.75], [1.5, 0.5, 0.2]]))
        [None, 0.25]
    """
    shares = np.linspace(0.0, 1.0, between.shape[1] + 2)[1:-1]
    expected = at_points[:-1, None] * (1 - shares) + at_points[1:, None] * shares
    everything = np.concatenate([at_points, between.ravel()])
    excess = between - expected
    limit = EXCESS * float(np.ptp(everything))
    return [float(shares[row.argmax()]) if row.max() > limit else None for row in excess]


def at_constant_speed(points: Tensor) -> Curve:
    """The polychain through ``points`` (m, P) at constant speed; even knots where neighbours are equal."""
    lengths = np.array([length(high - low) for low, high in pairwise(points)])
    knots = np.concatenate([[0.0], np.cumsum(lengths) / max(lengths.sum(), np.finfo(float).tiny)])
    knots[-1] = 1.0
    if not (np.diff(knots) > 0).all():  # also where a length is lost in the rounding of the sum
        return Curve("polychain", points)
    return Curve("polychain", points, tuple(knots.tolist()))


def _forces(problem: Problem, points: Tensor, batch: Batch, settings: BandTraining) -> tuple[Array, Tensor]:
    """Losses at all points (m,) and forces on the pivots (m − 2, P) on one batch."""
    # Tangents compare losses of neighbours, so the ends are measured on the same batch as the pivots.
    one = problem.on([batch])
    found = [loss_and_gradient(problem, p, batch, settings.weight_decay) for p in points[1:-1]]
    ends = [_loss(one, points[0], settings), _loss(one, points[-1], settings)]
    energies = np.array([ends[0], *(loss for loss, _ in found), ends[1]])
    return energies, nudged_forces(points, energies, torch.stack([g for _, g in found]), settings.spring)


def _loss(problem: Problem, theta: Tensor, settings: BandTraining) -> float:
    """The loss at a point, with the weight-decay term of the training."""
    square = sum_of_squares(theta) if settings.weight_decay else 0.0
    return problem.measure(theta).data_loss + 0.5 * settings.weight_decay * square
