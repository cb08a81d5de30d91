"""Attacks on classifiers: the fast gradient sign method and projected gradient descent.

Functions of a model, pixels (B, C, H, W) on the scale 0 to 1 and labels (B,); the model maps pixels to logits
(B, K). They return perturbations of the pixels. Nothing is random but what a generator or a start gives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor

from landscape.core.inputs.norms import Norm, dual_size, each, project, steepest, uniform
from landscape.errors import InputError

__all__ = [
    "Attack",
    "AttackObjective",
    "Logits",
    "class_gradients",
    "clipped",
    "cross_entropies",
    "fgsm",
    "margins",
    "nearest_classes",
    "pgd",
    "random_start",
]

Logits = Callable[[Tensor], Tensor]
"""Pixels (B, C, H, W) to logits (B, K)."""

AttackObjective = Literal["cross_entropy", "margin"]


def margins(logits: Tensor, labels: Tensor) -> Tensor:
    """Logit of the label minus the largest other, (B,): negative where the answer is wrong."""
    true = logits.gather(1, labels[:, None])[:, 0]
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return true - others.amax(1)


def cross_entropies(logits: Tensor, labels: Tensor) -> Tensor:
    """−ln p of the label, (B,), nats."""
    return torch.nn.functional.cross_entropy(logits, labels, reduction="none")


def fgsm(
    model: Logits,
    pixels: Tensor,
    labels: Tensor,
    radius: float,
    *,
    norm: Norm = "linf",
    step: float = 1.0,
    start: Tensor | None = None,
    clip: bool = True,
) -> Tensor:
    """One step along the gradient of the cross-entropy: the fast gradient sign method.

    Args:
        model: Pixels to logits.
        pixels: Images (B, C, H, W).
        labels: Their classes (B,).
        radius: Norm that the perturbation has at most, in pixels.
        norm: ``linf``: along the sign of the gradient; ``l2``: along the gradient itself.
        step: Length of the step in units of the radius.
        start: Perturbation to start from; default: none.
        clip: Whether perturbed pixels stay within 0 to 1.

    Returns:
        The perturbation, (B, C, H, W).

    Reference:
        Goodfellow et al. (2015), Explaining and harnessing adversarial examples, section 4. With a random
        start and a step of 1.25: Wong et al. (2020), Fast is better than free.
    """
    delta = torch.zeros_like(pixels) if start is None else start.to(pixels)
    bound = torch.full((len(pixels),), radius, dtype=pixels.dtype, device=pixels.device)
    at = clipped(pixels, delta, clip)
    _, gradient = _ascent(model, pixels + at, lambda logits: cross_entropies(logits, labels))
    moved = project(at + step * radius * steepest(gradient, norm), bound, norm)
    return clipped(pixels, moved, clip)


@dataclass(frozen=True)
class Attack:
    """What an attack found for each image.

    Attributes:
        delta: The perturbation, (B, C, H, W).
        value: What it was to make large, (B,): of ``margin`` above 0 where the answer is wrong.
    """

    delta: Tensor
    value: Tensor


def pgd(
    model: Logits,
    pixels: Tensor,
    labels: Tensor,
    radius: float,
    *,
    norm: Norm = "linf",
    steps: int = 20,
    step: float | None = None,
    objective: AttackObjective = "margin",
    targets: Tensor | None = None,
    start: Tensor | None = None,
    clip: bool = True,
    keep: Literal["best", "last"] = "best",
) -> Attack:
    """Projected gradient ascent on how wrong the model is.

    On a linear model, with ``margin``, from the image itself, and towards the nearest class, the first step
    that reaches the surface of the ball is the worst perturbation there is (without `clip`, or where pixels
    are away from 0 and 1). Cross-entropy is not: its gradient mixes the classes, so that even on a linear
    model its ascent misses images that can be changed.

    Args:
        model: Pixels to logits.
        pixels: Images (B, C, H, W).
        labels: Their classes (B,).
        radius: Norm that the perturbation has at most, in pixels.
        norm: ``linf`` or ``l2``.
        steps: Steps.
        step: Length of a step, in pixels; default: 2.5 radius / steps.
        objective: ``margin``: the logit of another class minus that of the label; ``cross_entropy``.
        targets: The other class of each image (B,), with ``margin``; default: at each step the largest.
        start: Perturbation to start from; default: none.
        clip: Whether perturbed pixels stay within 0 to 1.
        keep: ``best``: the best of all points passed, start and end included; ``last``: the end, as used in
            training, where a pass to judge it would be wasted; the value is then that before the last step.

    Reference:
        Madry et al. (2018), Towards deep learning models resistant to adversarial attacks; the margin:
        Carlini & Wagner (2017), Towards evaluating the robustness of neural networks, equation f6.
    """
    length = 2.5 * radius / max(steps, 1) if step is None else step
    bound = torch.full((len(pixels),), radius, dtype=pixels.dtype, device=pixels.device)

    def score(logits: Tensor) -> Tensor:
        if objective == "cross_entropy":
            return cross_entropies(logits, labels)
        if targets is None:
            return -margins(logits, labels)
        return (logits.gather(1, targets[:, None]) - logits.gather(1, labels[:, None]))[:, 0]

    delta = torch.zeros_like(pixels) if start is None else start.to(pixels)
    delta = clipped(pixels, project(delta, bound, norm), clip)
    best, best_value = delta, torch.full_like(bound, -torch.inf)
    for _ in range(steps):
        value, gradient = _ascent(model, pixels + delta, score)
        better = value > best_value
        best, best_value = delta.where(each(better, delta), best), value.where(better, best_value)
        delta = project(delta + length * steepest(gradient, norm), bound, norm)
        delta = clipped(pixels, delta, clip)
    if keep == "last":
        return Attack(delta, best_value)
    with torch.no_grad():
        value = score(model(pixels + delta))
    better = value > best_value
    return Attack(delta.where(each(better, delta), best), value.where(better, best_value))


def class_gradients(model: Logits, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (B, K), and the gradient of each by the pixels, (B, K, C, H, W), from K backward passes."""
    with torch.enable_grad():
        at = pixels.detach().requires_grad_(True)
        logits = model(at)
        rows = []
        for index in range(logits.shape[1]):
            last = index == logits.shape[1] - 1
            rows.append(_gradient(logits[:, index].sum(), at, retain_graph=not last))
    return logits.detach(), torch.stack(rows, 1)


def nearest_classes(model: Logits, pixels: Tensor, labels: Tensor, count: int, norm: Norm) -> Tensor:
    """The classes whose border with the label is nearest to first order, nearest first, (B, count).

    The distance to the border with class k is (z_y − z_k)/‖∇(z_y − z_k)‖ in the dual norm: exact for linear
    models.
    """
    logits, gradients = class_gradients(model, pixels)
    if not 1 <= count < logits.shape[1]:
        raise InputError(
            f"an image of one of {logits.shape[1]} classes can be turned into 1 to {logits.shape[1] - 1}"
            f" others; got {count}."
        )
    rows = torch.arange(len(labels), device=labels.device)
    away = gradients - gradients[rows, labels][:, None]
    lengths = torch.stack([dual_size(row, norm) for row in away.unbind(1)], 1)
    distance = (logits[rows, labels][:, None] - logits) / lengths
    distance[rows, labels] = torch.inf
    return distance.nan_to_num(nan=torch.inf, posinf=torch.inf).argsort(1)[:, :count]


def random_start(
    pixels: Tensor, radius: float, norm: Norm, generator: Generator, clip: bool = True
) -> Tensor:
    """A perturbation drawn uniformly from the ball around each image, on the images' device."""
    return clipped(pixels, uniform(pixels.shape, radius, norm, generator).to(pixels), clip)


def clipped(pixels: Tensor, delta: Tensor, clip: bool) -> Tensor:
    """Perturbations after which pixels stay within 0 to 1, or within where they were before."""
    if not clip:
        return delta
    low = torch.minimum(pixels, torch.zeros_like(pixels)) - pixels
    high = torch.maximum(pixels, torch.ones_like(pixels)) - pixels
    return torch.minimum(torch.maximum(delta, low), high)


def _ascent(model: Logits, pixels: Tensor, score: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Scores (B,) and their gradients by the pixels."""
    with torch.enable_grad():
        at = pixels.detach().requires_grad_(True)
        values = score(model(at))
        gradient = _gradient(values.sum(), at)
    return values.detach(), gradient


def _gradient(value: Tensor, at: Tensor, *, retain_graph: bool = False) -> Tensor:
    """The gradient of a scalar; zero where it does not depend on the pixels."""
    if not value.requires_grad:
        return torch.zeros_like(at)
    (gradient,) = torch.autograd.grad(value, [at], retain_graph=retain_graph, allow_unused=True)
    return torch.zeros_like(at) if gradient is None else gradient
