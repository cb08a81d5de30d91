"""Directions from images, and the loss along them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landscape.core.inputs.attacks import class_gradients, clipped, cross_entropies, pgd
from landscape.core.inputs.images import Images
from landscape.core.inputs.norms import Norm, each, size, steepest, uniform
from landscape.core.inputs.operators import exact_fisher
from landscape.core.inputs.robustness import image_generator
from landscape.core.problem.problem import Problem

__all__ = ["First", "Second", "first_direction", "loss_along", "second_direction"]

Array = NDArray[np.float64]
First = Literal["fgsm", "gradient", "pgd", "fisher", "random"]
Second = Literal["random_sign", "random", "fgsm_of"]


def first_direction(images: Images, kind: First, radius: float, norm: Norm, seed: int) -> Tensor:
    """A direction for each image, (B, C, H, W), of norm 1; zero where a gradient is.

    Args:
        images: The images.
        kind: ``fgsm``: along which the cross-entropy rises fastest for the norm; ``gradient``: its gradient;
            ``pgd``: to where projected gradient ascent of the cross-entropy ends at the radius; ``fisher``:
            the top eigenvector of the Fisher matrix, to the side on which the cross-entropy rises;
            ``random``.
        radius: Of the ball that ``pgd`` stays in.
        norm: In which directions have norm 1.
        seed: Of random ones.
    """
    pixels, labels = images.pixels, images.labels
    if kind == "random":
        return _scaled(_normals(images, seed, 0), norm)
    if kind == "pgd":
        attack = pgd(images, pixels, labels, radius, norm=norm, objective="cross_entropy", keep="best")
        return _scaled(attack.delta, norm)
    gradient = _slopes(images, pixels)
    if kind == "fgsm":
        return steepest(gradient, norm)
    if kind == "gradient":
        return _scaled(gradient, norm)
    top = exact_fisher(*class_gradients(images, pixels)).vectors.to(pixels)
    rises = (top * gradient).flatten(1).sum(1) >= 0
    return _scaled(top * each(torch.where(rises, 1.0, -1.0).to(pixels), top), norm)


def second_direction(
    images: Images, kind: Second, norm: Norm, seed: int, other: Problem | None = None
) -> Tensor:
    """A second direction of norm 1 for each image: of random signs, of a Gaussian, or of another model.

    Args:
        images: The images.
        kind: ``random_sign``, ``random``, or ``fgsm_of``: along which the cross-entropy of the other model
            rises fastest for the norm, zero where its gradient is.
        norm: In which directions have norm 1.
        seed: Of random ones.
        other: The other model, on data of the same form.
    """
    if kind == "fgsm_of":
        assert other is not None
        return steepest(_slopes(replace(images, problem=other), images.pixels), norm)
    draws = _normals(images, seed, 1)
    return _scaled(draws.sign() if kind == "random_sign" else draws, norm)


def loss_along(
    images: Images,
    first: Tensor,
    second: Tensor,
    radius: float,
    steps: Sequence[float],
    plane: tuple[Sequence[float], Sequence[float]],
    *,
    norm: Norm,
    clip: bool,
    seed: int,
    on_step: Callable[[float], None] = lambda share: None,
) -> dict[str, Array]:
    """Losses and wrong answers at x + a d₁ and at x + a d₁ + b d₂, and how linear the loss is.

    Args:
        images: B images x.
        first: d₁ (B, C, H, W).
        second: d₂.
        radius: Of the ball around x in which a point is drawn for ``cosine``.
        steps: a along the line.
        plane: a and b of the plane.
        norm: Of that ball.
        clip: Whether pixels stay within 0 to 1.
        seed: Of the points drawn.
        on_step: Told the share of the work that is done.

    Returns:
        ``losses`` and ``wrong`` (steps, B); ``plane_losses`` and ``plane_wrong`` (a, b, B); ``linearity``
        (B,): largest |ℓ(x + δ) − ℓ(x) − ∇ℓ·δ| along the line, δ the change after cutting (Qin et al. 2019);
        ``cosine`` (B,): between the gradients at x and at a uniform point of the ball (Andriushchenko &
        Flammarion 2020), NaN where one is zero.
    """
    pixels, labels = images.pixels, images.labels
    total = len(steps) + len(plane[0]) * len(plane[1])
    done = 0

    def at(delta: Tensor) -> tuple[Array, Array]:
        nonlocal done
        done += 1
        on_step(done / total)
        with torch.no_grad():
            losses = images.losses(pixels + delta)
            logits = images(pixels + delta)
            wrong = (logits.argmax(1) != labels).double().where(~logits.isnan().any(1), torch.nan)
        return losses.detach().double().cpu().numpy(), wrong.cpu().numpy()

    slope = _slopes(images, pixels, images.losses)
    line, bends = [], []
    (start, _) = at(torch.zeros_like(pixels))
    done = 0
    for a in steps:
        delta = clipped(pixels, a * first, clip)
        losses, wrong = at(delta)
        linear = (slope * delta).flatten(1).sum(1).double().cpu().numpy()
        bends.append(np.abs(losses - start - linear))
        line.append((losses, wrong))
    grid = [[at(clipped(pixels, a * first + b * second, clip)) for b in plane[1]] for a in plane[0]]
    found = np.array(grid)  # a, b, (losses, wrong), B
    other = clipped(pixels, _points(images, radius, norm, seed), clip)
    there = _slopes(images, pixels + other)
    here = _slopes(images, pixels)
    lengths = size(here, "l2") * size(there, "l2")
    cosine = (here * there).flatten(1).sum(1) / lengths.where(lengths > 0, torch.nan)
    return {
        "losses": np.array([losses for losses, _ in line]),
        "wrong": np.array([wrong for _, wrong in line]),
        "plane_losses": found[:, :, 0],
        "plane_wrong": found[:, :, 1],
        "linearity": np.max(bends, 0),
        "cosine": cosine.double().cpu().numpy(),
    }


def _slopes(images: Images, pixels: Tensor, losses: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    """The gradient of each image's loss by its pixels; by default of the cross-entropy of the label."""
    at = pixels.detach().requires_grad_(True)
    values = cross_entropies(images(at), images.labels) if losses is None else losses(at)
    if not values.requires_grad:
        return torch.zeros_like(pixels)
    (gradient,) = torch.autograd.grad(values.sum(), [at], allow_unused=True)
    return torch.zeros_like(pixels) if gradient is None else gradient


def _scaled(directions: Tensor, norm: Norm) -> Tensor:
    lengths = size(directions, norm)
    return directions / each(lengths.where(lengths > 0, 1.0), directions)


def _normals(images: Images, seed: int, stream: int) -> Tensor:
    shape = images.pixels.shape[1:]
    draws = [
        torch.randn(shape, generator=image_generator(seed, stream, int(n)), dtype=torch.float64)
        for n in images.numbers
    ]
    return torch.stack(draws).to(images.pixels)


def _points(images: Images, radius: float, norm: Norm, seed: int) -> Tensor:
    shape = (1, *images.pixels.shape[1:])
    draws = [uniform(shape, radius, norm, image_generator(seed, 2, int(n))) for n in images.numbers]
    return torch.cat(draws).to(images.pixels)
