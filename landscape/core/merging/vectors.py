"""Merges that know the weights alone: sums of task vectors, signs that are agreed on, great circles."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from landscape.core.merging.states import Weights
from landscape.errors import InputError

__all__ = ["Part", "slerp", "task_arithmetic", "ties"]

Part = Literal["whole", "tensor"]
"""Between what the angle of `slerp` is: all weights as one vector, or each tensor by itself."""

STRAIGHT = 1e-6  # radians; below it a great circle and a straight line are the same to rounding


@torch.no_grad()
def task_arithmetic(base: Weights, states: Sequence[Weights], *, scale: float = 0.4) -> dict[str, Tensor]:
    """The base and a multiple of the sum of task vectors: θ₀ + λ Σᵢ (θᵢ − θ₀), by name.

    Args:
        base: θ₀, from which all models were trained.
        states: The models, with the tensors of the base.
        scale: λ; 1/n makes it the mean of n models.

    Reference:
        Ilharco et al. (2023), Editing models with task arithmetic, section 2.

    Example:
        >>> base, one, two = ({"w": torch.tensor([v])} for v in (1.0, 2.0, 4.0))
        >>> task_arithmetic(base, [one, two], scale=0.5)["w"].item()
        3.0
    """
    merged = {}
    for name, start in base.items():
        origin = start.double()
        total = sum(state[name].double() - origin for state in states)
        merged[name] = (origin + scale * total).to(start.dtype)
    return merged


@torch.no_grad()
def ties(
    base: Weights, states: Sequence[Weights], *, keep: float = 0.2, scale: float = 1.0
) -> dict[str, Tensor]:
    """The base and a multiple of the disjoint mean of trimmed task vectors.

    Of each model's task vector, over all tensors together, the share ``keep`` of largest magnitude is kept.
    Of each entry the sign with the larger sum is elected, and the mean is over the models whose entry was
    kept and has that sign. Where sums are equal, and where nothing was kept, the base stays.

    Args:
        base: θ₀, from which all models were trained.
        states: The models, with the tensors of the base.
        keep: Share of entries that are kept, in (0, 1].
        scale: λ.

    Raises:
        InputError: If the share is none.

    Reference:
        Yadav et al. (2023), TIES-Merging: resolving interference when merging models, algorithm 1.
    """
    if not 0.0 < keep <= 1.0:
        raise InputError(f"keep of TIES is a share in (0, 1]; got {keep}.")
    least = [_threshold(base, state, keep) for state in states]
    merged = {}
    for name, start in base.items():
        origin = start.double()
        steps = torch.stack([state[name].double() - origin for state in states])
        bounds = torch.tensor(least, dtype=torch.float64, device=steps.device)
        steps = steps.where(steps.abs() >= bounds.view(-1, *(1,) * start.ndim), 0.0)
        elected = steps.sum(0).sign()
        agree = (steps.sign() == elected) & (steps != 0)
        mean = steps.where(agree, 0.0).sum(0) / agree.sum(0).clamp(min=1)
        merged[name] = (origin + scale * mean).to(start.dtype)
    return merged


def _threshold(base: Weights, state: Weights, keep: float) -> float:
    """The magnitude from which on the entries of a task vector are kept."""
    sizes = torch.cat([(state[n].double() - t.double()).abs().flatten() for n, t in base.items()])
    count = max(1, round(keep * len(sizes)))
    return float(sizes.kthvalue(len(sizes) - count + 1).values)


@torch.no_grad()
def slerp(a: Weights, b: Weights, *, t: float = 0.5, part: Part = "whole") -> dict[str, Tensor]:
    """Weights a share t of the way along the great circle from a to b.

    (sin (1 − t)Ω · a + sin tΩ · b) / sin Ω, Ω the angle between a and b: between vectors of one length all
    weights of the way have that length. Where there is no angle (one is zero, or they are parallel), the
    straight line is taken.

    Args:
        a: At t = 0.
        b: At t = 1.
        t: The share of the way.
        part: Whether the angle is that of the whole vectors or of each tensor.

    Raises:
        InputError: If a and b are opposite: no great circle is the shortest. Of tensors with one entry the
            straight line is taken then.

    Reference:
        Shoemake (1985), Animating rotation with quaternion curves, section 3.3.

    Example:
        >>> half = slerp({"w": torch.tensor([1.0, 0.0])}, {"w": torch.tensor([0.0, 1.0])})
        >>> round(float(half["w"].norm()), 6)
        1.0
    """
    groups = [list(a)] if part == "whole" else [[name] for name in a]
    merged: dict[str, Tensor] = {}
    for names in groups:
        left, right = _shares({n: a[n] for n in names}, {n: b[n] for n in names}, t)
        merged |= {n: (left * a[n].double() + right * b[n].double()).to(a[n].dtype) for n in names}
    return merged


def _shares(a: Mapping[str, Tensor], b: Mapping[str, Tensor], t: float) -> tuple[float, float]:
    """What a and b are multiplied by."""

    def product(x: Weights, y: Weights) -> float:
        return sum(float((x[n].double() * y[n].double()).sum()) for n in x)

    lengths = math.sqrt(product(a, a)), math.sqrt(product(b, b))
    if not all(lengths) or sum(v.numel() for v in a.values()) == 1:
        return 1.0 - t, t
    # By the lengths of sum and difference of the unit vectors: the arccosine loses half the digits of
    # small angles.
    units = ({n: x[n].double() / length for n in x} for x, length in zip((a, b), lengths, strict=True))
    u, v = units
    apart = math.sqrt(sum(float((u[n] - v[n]).square().sum()) for n in u))
    along = math.sqrt(sum(float((u[n] + v[n]).square().sum()) for n in u))
    angle = 2.0 * math.atan2(apart, along)
    if angle < STRAIGHT:
        return 1.0 - t, t
    if math.pi - angle < STRAIGHT:
        raise InputError(
            "SLERP has no way between opposite weights (an angle of 180 degrees); take method='mean'."
        )
    return math.sin((1.0 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)
