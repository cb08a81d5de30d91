"""Points of the plane: two classes that no line parts, and a circle far from them."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from landscape.errors import InputError, suggest

__all__ = ["circle", "plane_grid", "two_moons"]

Split = Literal["train", "test"]

PARTS_SEED = 2011  # never changes: what a part is stays
CENTRE = np.array([0.5, 0.25])  # between the two half circles


def two_moons(
    split: Split = "train", part: int = 0, count: int = 200, noise: float = 0.1
) -> tuple[Tensor, Tensor]:
    """Two half circles of radius 1, each opening into the other, with noise; the middle between them is 0.

    Args:
        split: ``"train"`` or ``"test"``: other angles and noise.
        part: Which points: 0, 1, 2, ...
        count: Number of points, half of each class (one more of the first if it is odd).
        noise: Standard deviation of Gaussian noise in both directions.

    Returns:
        Points (count, 2), float32, and classes (count,), int64.

    Raises:
        InputError: If there is no such split, or a number is out of range.

    Reference:
        Pedregosa et al. (2011), Scikit-learn, for the half circles; angles here are random.
    """
    if split not in get_args(Split):
        raise InputError(f"two_moons has no split {split!r}: {suggest(str(split), get_args(Split))}")
    if count < 2 or part < 0 or not 0.0 <= noise < math.inf:
        raise InputError(
            f"two_moons: count is at least 2, part and noise at least 0, not {count}, {part} and {noise}."
        )
    rng = np.random.default_rng((PARTS_SEED, part, split == "test"))
    y = np.arange(count) % 2
    angle = rng.uniform(0.0, math.pi, count)
    side = 1 - 2 * y  # the second is the first turned by half a turn about the middle
    moons = np.stack([np.cos(angle), np.sin(angle)], 1) - CENTRE
    x = side[:, None] * moons + noise * rng.standard_normal((count, 2))
    return torch.from_numpy(x).float(), torch.from_numpy(y)


def circle(radius: float = 10.0, count: int = 360) -> tuple[Tensor, Tensor]:
    """Points evenly on a circle about 0: data that `two_moons` says nothing of, if it is wide.

    Args:
        radius: Of the circle.
        count: Number of points.

    Returns:
        Points (count, 2), float32, and labels that say nothing, zeros (count,).

    Raises:
        InputError: If a number is not positive.
    """
    if count < 1 or not 0.0 < radius < math.inf:
        raise InputError(f"circle: radius and count are positive, not {radius} and {count}.")
    angle = 2.0 * math.pi * torch.arange(count, dtype=torch.float64) / count
    points = radius * torch.stack([angle.cos(), angle.sin()], 1)
    return points.float(), torch.zeros(count, dtype=torch.long)


def plane_grid(reach: float = 4.0, side: int = 41) -> tuple[Tensor, Tensor]:
    """Points of a square grid about 0.

    Args:
        reach: Coordinates go from minus that to that.
        side: Points along an edge.

    Returns:
        Points (side², 2), float32, and labels that say nothing, zeros (side²,).

    Raises:
        InputError: If a number is out of range.
    """
    if side < 2 or not 0.0 < reach < math.inf:
        raise InputError(f"plane_grid: reach is positive and side at least 2, not {reach} and {side}.")
    steps = torch.linspace(-reach, reach, side)
    return torch.cartesian_prod(steps, steps), torch.zeros(side * side, dtype=torch.long)
