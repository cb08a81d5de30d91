"""The way to the nearest wrong answer: DeepFool in batches, then the border on the segment it found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from landscape.core.inputs.attacks import Logits, class_gradients, clipped, margins
from landscape.core.inputs.norms import Norm, dual_size, each, size, steepest

__all__ = ["Boundary", "border_on_segment", "boundary"]


@dataclass(frozen=True)
class Boundary:
    """How far a wrong answer is from each image.

    Attributes:
        delta: The perturbation (B, C, H, W) to the border; zero where none was found.
        distance: Its norm (B,): 0 where the answer is wrong already, infinite where none that is was found.
    """

    delta: Tensor
    distance: Tensor


def boundary(
    model: Logits,
    pixels: Tensor,
    labels: Tensor,
    *,
    norm: Norm = "l2",
    steps: int = 50,
    overshoot: float = 0.02,
    bisections: int = 12,
    clip: bool = True,
    take: Callable[[Tensor], Logits] | None = None,
) -> Boundary:
    """A small perturbation that changes the answer: an upper bound of the least one.

    Each step goes to the border of the nearest class as if the model were linear, which it is exact for.
    Pixels that a step would push beyond 0 or 1 are left out of it. Once the answer is wrong, the border on
    the segment back to the image is found.

    Args:
        model: Pixels to logits (B, K).
        pixels: Images (B, C, H, W) on the scale 0 to 1.
        labels: Their classes (B,).
        norm: In which the distance is small.
        steps: Most steps; each costs K gradients of the images left.
        overshoot: Share by which a step goes beyond the border, so that rounding does not leave it short.
        bisections: Passes that look for the border on the segment.
        clip: Whether perturbed pixels stay within 0 to 1.
        take: The model of some of the images, by their places (n,), if it must know which it is given.

    Reference:
        Moosavi-Dezfooli et al. (2016), DeepFool, algorithm 2 and equation 11 for other norms.
    """
    delta = torch.zeros_like(pixels)
    with torch.no_grad():
        already = margins(model(pixels), labels) < 0
    left = (~already).nonzero()[:, 0]
    for _ in range(steps):
        if not len(left):
            break
        at, answers = pixels[left] + delta[left], labels[left]
        logits, gradients = class_gradients(model if take is None else take(left), at)
        going = ~(margins(logits, answers) < 0)
        left, answers = left[going], answers[going]
        at, gradients = at[going], gradients[going]
        away = gradients - gradients[torch.arange(len(left), device=left.device), answers][:, None]
        if clip:
            away = _free(away, at)
        delta[left] = clipped(
            pixels[left], delta[left] + _to_border(logits[going], away, answers, norm, overshoot), clip
        )
    with torch.no_grad():
        found = margins(model(pixels + delta), labels) < 0
    delta = border_on_segment(model, pixels, labels, delta.where(each(found, pixels), 0.0), bisections)
    distance = size(delta, norm).where(found, torch.inf).where(~already, 0.0)
    return Boundary(delta.where(each(~already, pixels), 0.0), distance)


def _free(away: Tensor, at: Tensor) -> Tensor:
    """Gradients (B, K, C, H, W) without what would push pixels (B, C, H, W) beyond 0 or 1.

    Cutting a step afterwards would leave it short of the border time and again, on images with black and
    white pixels for good.
    """
    pixels = at[:, None]
    stuck = ((pixels <= 0) & (away < 0)) | ((pixels >= 1) & (away > 0))
    return away.where(~stuck, 0.0)


def _to_border(logits: Tensor, away: Tensor, labels: Tensor, norm: Norm, overshoot: float) -> Tensor:
    """The step (B, C, H, W) a little beyond the border of the nearest class, as if the model were linear.

    Args:
        logits: (B, K).
        away: Gradients of the logits less that of the label (B, K, C, H, W).
        labels: (B,).
        norm: In which the step is small.
        overshoot: Share by which it goes beyond.
    """
    rows = torch.arange(len(labels), device=labels.device)
    gap = logits[rows, labels][:, None] - logits
    lengths = torch.stack([dual_size(row, norm) for row in away.unbind(1)], 1)
    distance = gap / lengths
    distance[rows, labels] = torch.inf
    nearest = distance.nan_to_num(nan=torch.inf, posinf=torch.inf).argmin(1)
    reach = distance[rows, nearest].nan_to_num(nan=0.0, posinf=0.0).clamp(min=0.0)
    step: Tensor = each((1.0 + overshoot) * reach, away[:, 0]) * steepest(away[rows, nearest], norm)
    return step


def border_on_segment(
    model: Logits, pixels: Tensor, labels: Tensor, delta: Tensor, passes: int = 12
) -> Tensor:
    """The part of each wrong perturbation (B, C, H, W) that ends where the answer turns wrong.

    By the rule of false position with halving (Illinois), which a linear model needs one pass for. The end
    returned is on the wrong side, or where the margin is zero.
    """
    with torch.no_grad():
        low = torch.zeros(len(labels), dtype=pixels.dtype, device=pixels.device)
        high = torch.ones_like(low)
        at_low, at_high = margins(model(pixels), labels), margins(model(pixels + delta), labels)
        kept = torch.zeros_like(low)  # which end stayed last time: -1 low, 1 high
        for _ in range(passes):
            share = at_low / (at_low - at_high)
            share = share.where(share.isfinite() & (share > 0) & (share < 1), 0.5)
            middle = low + share * (high - low)
            value = margins(model(pixels + each(middle, delta) * delta), labels)
            wrong = value <= 0
            at_low = torch.where(wrong, at_low.where(kept != -1, at_low / 2), value)
            at_high = torch.where(wrong, value, at_high.where(kept != 1, at_high / 2))
            low, high = low.where(wrong, middle), middle.where(wrong, high)
            kept = torch.where(wrong, -1.0, 1.0)
        return each(high, delta) * delta
