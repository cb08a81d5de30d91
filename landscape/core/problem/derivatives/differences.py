"""Differences of a function along a line, and what they say of a derivative."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

__all__ = ["COARSE", "FINE", "FINE_SECOND", "Ruler", "Verdict", "judge"]

Verdict = Literal["right", "wrong", "unknown"]
"""Whether a derivative is what differences give; unknown where the function has kinks or rounds."""


@dataclass(frozen=True)
class Ruler:
    """How differences are taken, and how near a derivative has to be to them.

    Attributes:
        steps: Lengths of the steps, as parts of the norm of what is moved.
        tolerance: Largest relative error of a right derivative.
        rounding: Relative error of a value.
        smooth: How far the slopes of two sides may be apart where the function counts as smooth, as a part of
            their distance to what is said.
    """

    steps: tuple[float, ...]
    tolerance: float
    rounding: float
    smooth: float


FINE = Ruler((1e-6, 1e-7, 1e-8), 1e-3, 1e-14, 0.02)
"""For values in float64. Sound models are off by 1e-6 or so."""

FINE_SECOND = Ruler((1e-7, 1e-8, 1e-9), 1e-3, 1e-14, 0.02)
"""For gradients in float64: the shorter the step, the fewer kinks it crosses, and each changes a gradient."""

COARSE = Ruler((3e-3, 1e-3, 3e-4), 5e-2, 5e-6, 0.1)
"""For values that are rounded to float32 somewhere."""


@dataclass(frozen=True)
class _Slope:
    """Differences with one step.

    Attributes:
        ahead: (f(h) − f(0))/h.
        behind: (f(0) − f(−h))/h.
        rounding: How far rounding may have moved them.
    """

    ahead: Tensor
    behind: Tensor
    rounding: float

    @property
    def central(self) -> Tensor:
        return (self.ahead + self.behind) / 2


def judge(said: Tensor, value: Callable[[float], Tensor], length: float, ruler: Ruler) -> Verdict:
    """Hold a derivative against differences.

    It is wrong if, with two steps, the function is smooth on both sides, their differences agree, and none is
    what was said. At a kink the two sides differ; where a step crosses one, or something rounds, steps differ
    among themselves. Neither tells against a derivative, and a function that is flat has the derivative zero.

    Args:
        said: The derivative at 0, of any shape.
        value: The function of the place on the line.
        length: What steps are parts of.
        ruler: How to measure.
    """
    here = value(0.0)
    if not _finite(said, here):
        return "unknown"
    found: list[_Slope] = []
    for part in ruler.steps:
        h = part * length
        ahead, behind = value(h), value(-h)
        if not _finite(ahead, behind):
            return "unknown"
        scale = float(torch.maximum(ahead.norm(), behind.norm()))
        slope = _Slope((ahead - here) / h, (here - behind) / h, ruler.rounding * scale / h)
        sides = (slope.central, slope.ahead, slope.behind)
        near = any(not _apart(said, side, ruler.tolerance, slope.rounding) for side in sides)
        size = float(torch.maximum(said.norm(), slope.central.norm()))
        if near and (not found or slope.rounding <= ruler.tolerance * size):  # else rounding hides a mistake
            return "right"
        found.append(slope)
    return "wrong" if _agree(said, found, ruler) else "unknown"


def _agree(said: Tensor, found: Sequence[_Slope], ruler: Ruler) -> bool:
    """Whether two steps that follow each other find one smooth slope.

    It is smooth where its sides are nearer to each other by far than to what was said: kinks in many places
    may cancel in the difference of the sides, and yet move both.
    """
    smooth = []
    for slope in found:
        gap = float((said - slope.central).norm())
        smooth.append(float((slope.ahead - slope.behind).norm()) <= ruler.smooth * gap + 2 * slope.rounding)
    return any(
        smooth[i] and smooth[i + 1] and not _apart(a.central, b.central, ruler.tolerance / 2, 0.0)
        for i, (a, b) in enumerate(pairwise(found))
    )


def _apart(a: Tensor, b: Tensor, part: float, rounding: float) -> bool:
    return float((a - b).norm()) > part * float(torch.maximum(a.norm(), b.norm())) + rounding


def _finite(*values: Tensor) -> bool:
    return all(bool(v.isfinite().all()) for v in values)
