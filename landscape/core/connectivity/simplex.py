"""Simplices of low loss between models: volumes, random points, training of points that connect them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from landscape.core.ambient import under_own_context
from landscape.core.connectivity.curve_training import (
    CurveTraining,
    batchwise_batchnorm,
    check_loss,
    epoch_batches,
    learning_rate,
    loss_and_gradient,
)
from landscape.core.linalg.reductions import BLOCK_ENTRIES, length, slices, summed
from landscape.core.problem.problem import Problem
from landscape.core.problem.states import direction_seed

__all__ = ["SimplexTraining", "connecting_point", "log_volume", "random_shares", "volume_gradient"]

START = 0.01
"""How far from the mean of all vertices a point starts, as a share of their distance from it (rms)."""


@dataclass(frozen=True)
class SimplexTraining(CurveTraining):
    """How a connecting point is trained.

    Rate, momentum, epochs, draws and the volume's weight are by default those of the CIFAR-100 experiments
    published with Benton et al. (2021); the rate falls as that of curves does.

    Attributes:
        draws: Random points of the complex in each step.
        volume: Weight λ of the term −λ log V.
    """

    epochs: int = 20
    draws: int = 5
    volume: float = 1e-10


def log_volume(points: Tensor) -> Tensor:
    """Logarithm of the volume of the simplex of m points (m, P), a float64 scalar.

    V² = det(S Sᵀ)/n!² for the n = m − 1 steps S from the first point, which is the determinant of Cayley
    and Menger; minus infinity where the points do not span n dimensions. A single point has volume 1.

    Example:
        >>> round(float(log_volume(torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 1.0]])).exp()), 12)
        1.0
    """
    return _log_volume(_gram(points[1:], points[0]))


def random_shares(count: int, vertices: int, generator: torch.Generator) -> Tensor:
    """Shares (count, vertices) of the vertices in uniformly random points of a simplex, in float64.

    Shares with the Dirichlet distribution of parameters 1, made from exponential ones.
    """
    draws = torch.rand(count, vertices, generator=generator, dtype=torch.float64)
    # Of 1 − u, which is never 0, as u may be.
    exponential = -torch.log1p(-draws)
    return exponential / exponential.sum(1, keepdim=True)


@under_own_context
def connecting_point(
    problem: Problem, models: Tensor, points: Tensor, settings: SimplexTraining
) -> tuple[Tensor, list[float]]:
    """One more point θ that joins k models at low loss (Benton et al. 2021, section 4).

    The complex has a simplex for each model, of that model, the points there are, and θ. SGD with momentum
    on θ alone lowers (1/k) Σⱼ E[L(φ)] − λ log V: φ is uniform in simplex j, L holds the weight-decay
    term at φ, and V is the volume of all k simplices. BatchNorm normalises by the batch at hand.

    Args:
        problem: Whose loss and data.
        models: The models (k, P).
        points: Connecting points so far (n, P), which stay; n may be 0.
        settings: How to train; each further point has its own random numbers.

    Returns:
        The point (P,), and the mean loss over random points in each epoch, without the volume's term.

    Raises:
        InputError: If the loss is no longer finite.
    """
    generator = torch.Generator().manual_seed(direction_seed(settings.seed, len(points)))
    theta = _start(models, points, generator)
    velocity, losses = torch.zeros_like(theta), []
    with batchwise_batchnorm(problem):
        for epoch in range(settings.epochs):
            batches, total = list(epoch_batches(problem, settings, epoch)), 0.0
            for step, batch in enumerate(batches):
                force = volume_gradient(models, points, theta).mul_(-settings.volume)
                for shares in random_shares(settings.draws, len(points) + 2, generator):
                    model = int(torch.randint(len(models), (), generator=generator))
                    vertices = torch.cat([models[model : model + 1], points, theta[None]])
                    place = shares.to(vertices) @ vertices
                    loss, gradient = loss_and_gradient(problem, place, batch, settings.weight_decay)
                    # θ is the last vertex of the simplex, and ∂φ/∂θ its share in φ.
                    force.add_(gradient, alpha=float(shares[-1]) / settings.draws)
                    total += loss * batch.size / settings.draws
                velocity.mul_(settings.momentum).add_(force)
                rate = learning_rate((epoch + step / len(batches)) / settings.epochs, settings.lr)
                theta.sub_(velocity, alpha=rate)
            losses.append(check_loss(total / problem.examples, epoch))
    return theta, losses


def _start(models: Tensor, points: Tensor, generator: torch.Generator) -> Tensor:
    """The mean of all vertices, moved a little at random: without volume there is no gradient of it."""

    def vertices(*piece: Tensor) -> Tensor:
        return torch.cat(piece, 1).double()

    def spread(*piece: Tensor) -> Tensor:
        v = vertices(*piece)
        return (v - v.mean(1, keepdim=True)).square().sum()

    every = (models.T, points.T)
    square = float(summed(spread, *every)) / (len(models) + len(points))
    square = square or float(summed(lambda *piece: vertices(*piece).mean(1).square().sum(), *every))
    step = torch.randn(models.shape[1], generator=generator, dtype=torch.float64)
    step *= START * square**0.5 / length(step)
    theta = torch.empty_like(models[0])
    for part in slices(len(theta), BLOCK_ENTRIES // (len(models) + len(points))):
        mean = vertices(*(side[part] for side in every)).mean(1)
        theta[part] = mean + step[part].to(mean)
    return theta


def volume_gradient(models: Tensor, points: Tensor, theta: Tensor) -> Tensor:
    """Gradient (P,) by θ of the logarithm of the volume of all simplices of a model, the points and θ.

    That of one simplex with the steps S from its model is the last row of (S Sᵀ)⁻¹ S; each counts by its
    share of the whole volume. Zero where no simplex has a volume.
    """
    corners = torch.cat([points, theta[None]])
    volumes, rows = [], []
    for model in models:
        gram = _gram(corners, model)
        volumes.append(_log_volume(gram))
        # Vertices that coincide make the Gram matrix singular; an inverse would raise.
        rows.append(torch.linalg.pinv(gram, hermitian=True)[-1])
    # From logarithms, since a volume of that many dimensions overflows or vanishes.
    shares = torch.stack(volumes).softmax(0)
    if not torch.isfinite(shares).all():
        return torch.zeros_like(theta)
    weights = shares[:, None] * torch.stack(rows)
    # as a sum of vertices, so that the steps of all models are never held at once
    gradient: Tensor = weights.sum(0).to(theta) @ corners - weights.sum(1).to(theta) @ models
    return gradient


def _gram(corners: Tensor, start: Tensor) -> Tensor:
    """Inner products (n, n), summed in float64, of the steps to corners (n, P) from one point (P,)."""

    def products(corners: Tensor, start: Tensor) -> Tensor:
        steps = (corners - start[:, None]).double()
        return steps.T @ steps

    return summed(products, corners.T, start)


def _log_volume(gram: Tensor) -> Tensor:
    sign, logarithm = torch.linalg.slogdet(gram)
    volume = 0.5 * logarithm - math.lgamma(len(gram) + 1)
    return torch.where(sign > 0, volume, -math.inf)
