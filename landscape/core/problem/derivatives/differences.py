"""Differences of a function along a line, and what they say of a derivative."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from landscape.core.linalg.reductions import BLOCK_ENTRIES, slices

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
class _Values:
    """A function at both ends of a step, (P,) each, in the precision that it has."""

    ahead: Tensor
    behind: Tensor
    h: float

    def slopes(self, here: Tensor, part: slice) -> tuple[Tensor, Tensor]:
        """(f(h) − f(0))/h and (f(0) − f(−h))/h of a piece, in float64."""
        middle = here[part].double()
        return (self.ahead[part].double() - middle) / self.h, (middle - self.behind[part].double()) / self.h


@dataclass(frozen=True)
class _Norms:
    """Norms of what a step gives, and of what that differs by from what was said and from the step before.

    Attributes:
        value: Of the function, the larger of both ends.
        said: Of what was said.
        sides: Of the slopes: central, ahead, behind.
        gaps: Of their distances to what was said.
        apart: Of the distance of the slopes ahead and behind.
        before: Of the central slope of the step before; 0 without one.
        change: Of the distance of the central slopes of both steps.
    """

    value: float
    said: float
    sides: tuple[float, ...]
    gaps: tuple[float, ...]
    apart: float
    before: float
    change: float


def _norms(said: Tensor, here: Tensor, values: _Values, before: _Values | None) -> _Norms:
    """All norms by one pass over pieces: of a gradient by many parameters no copy in float64 is held."""
    total = torch.zeros(12, dtype=torch.float64)
    for part in slices(len(here), BLOCK_ENTRIES):
        given = said[part].double()
        ahead, behind = values.slopes(here, part)
        central = (ahead + behind) / 2
        sides = (central, ahead, behind)
        parts = [values.ahead[part].double(), values.behind[part].double(), given, *sides]
        parts += [given - side for side in sides] + [ahead - behind]
        if before is not None:
            former_ahead, former_behind = before.slopes(here, part)
            former = (former_ahead + former_behind) / 2
            parts += [former, former - central]
        total[: len(parts)] += torch.stack([each.square().sum() for each in parts])
    found = total.sqrt().tolist()
    return _Norms(
        value=max(found[:2]),
        said=found[2],
        sides=tuple(found[3:6]),
        gaps=tuple(found[6:9]),
        apart=found[9],
        before=found[10],
        change=found[11],
    )


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
    said, here = said.reshape(-1), value(0.0).reshape(-1)
    if not _finite(said, here):
        return "unknown"
    before: _Values | None = None
    smooth: list[bool] = []
    wrong = False
    for part in ruler.steps:
        h = part * length
        values = _Values(value(h).reshape(-1), value(-h).reshape(-1), h)
        if not _finite(values.ahead, values.behind):
            return "unknown"
        found = _norms(said, here, values, before)
        rounding = ruler.rounding * found.value / h
        near = any(
            gap <= ruler.tolerance * max(found.said, side) + rounding
            for gap, side in zip(found.gaps, found.sides, strict=True)
        )
        size = max(found.said, found.sides[0])
        if near and (before is None or rounding <= ruler.tolerance * size):  # else rounding hides a mistake
            return "right"
        # It is smooth where its sides are nearer to each other by far than to what was said: kinks in many
        # places may cancel in the difference of the sides, and yet move both.
        smooth.append(found.apart <= ruler.smooth * found.gaps[0] + 2 * rounding)
        agree = before is not None and found.change <= ruler.tolerance / 2 * max(found.before, found.sides[0])
        wrong = wrong or (agree and smooth[-2] and smooth[-1])
        before = values
    return "wrong" if wrong else "unknown"


def _finite(*values: Tensor) -> bool:
    return all(bool(v.isfinite().all()) for v in values)
