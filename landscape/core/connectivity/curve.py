"""Curves through parameter space: lines, Bézier curves and polygonal chains between two models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from math import comb
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from landscape.core.linalg.reductions import inner_product
from landscape.errors import InputError

__all__ = ["Curve", "CurveKind", "bent", "straight"]

Array = NDArray[np.float64]

CurveKind = Literal["bezier", "polychain"]

PANELS = 32
"""Pieces of [0, 1] on which the speed of a Bézier curve is integrated."""
NODES = 8
"""Gauss-Legendre nodes on each."""


@dataclass(frozen=True)
class Curve:
    """A curve θ(t), t in [0, 1], made from m control points, the first and the last of which are its ends.

    ``bezier``: θ(t) = Σᵢ B(i, m−1)(t) pᵢ with the Bernstein polynomials B. ``polychain``: straight segments
    from each point to the next. Two points give the straight line in either case (Garipov et al. 2018,
    section 3.2).

    Attributes:
        kind: How the points are joined.
        points: Control points (m, P).
        knots: Where a polychain meets its points (m,), rising from 0 to 1; default: evenly spaced.

    Raises:
        InputError: If there are fewer than two points, or the knots do not fit.

    Example:
        >>> curve = Curve("bezier", torch.tensor([[0.0, 0.0], [1.0, 2.0], [2.0, 0.0]]))
        >>> curve.point(0.5).tolist(), curve.tangent(0.5).tolist()
        ([1.0, 1.0], [2.0, 0.0])
        >>> float(curve.ratio.round(4))
        1.4789
    """

    kind: CurveKind
    points: Tensor = field(repr=False)
    knots: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.points.ndim != 2 or len(self.points) < 2:
            raise InputError(f"a path needs two or more points (m, P); got {tuple(self.points.shape)}.")
        if not self.knots:
            object.__setattr__(self, "knots", tuple(np.linspace(0.0, 1.0, len(self.points)).tolist()))
        knots = self.knots
        rising = all(low < high for low, high in pairwise(knots))
        if len(knots) != len(self.points) or not rising or (knots[0], knots[-1]) != (0.0, 1.0):
            raise InputError(f"{len(self.points)} points need as many knots rising from 0 to 1; got {knots}.")

    # Points

    center = None  # a curve has two ends and no centre to measure changes from

    def write(self, t: float, out: Tensor) -> Tensor:
        """Write θ(t) into ``out`` (P,).

        By de Casteljau's algorithm, every step of which lies between two points: the ends are those given,
        bit for bit, and a curve between equal points does not move at all.
        """
        if t in (0.0, 1.0):
            return out.copy_(self.points[0 if t == 0.0 else -1])
        if self.kind == "polychain":
            segment, share = self._segment(t)
            return torch.lerp(self.points[segment], self.points[segment + 1], share, out=out)
        rest = self.points
        while len(rest) > 2:
            rest = torch.lerp(rest[:-1], rest[1:], t)
        return torch.lerp(rest[0], rest[1], t, out=out)

    def point(self, t: float) -> Tensor:
        """θ(t) as a new vector (P,)."""
        return self.write(t, torch.empty_like(self.points[0]))

    def weights(self, t: float) -> Array:
        """Shares (m,) of the control points in θ(t), which are also ∂θ(t)/∂pᵢ; they sum to 1."""
        n = len(self.points) - 1
        if self.kind == "bezier":
            return _bernstein(n, t)
        segment, share = self._segment(t)
        weights = np.zeros(n + 1)
        weights[segment : segment + 2] = 1.0 - share, share
        return weights

    def tangent(self, t: float) -> Tensor:
        """dθ/dt (P,); at a corner of a polychain, that of the segment that begins there."""
        steps = self.points[1:] - self.points[:-1]
        return torch.as_tensor(self._slopes(t)).to(steps) @ steps

    # Lengths

    @property
    def chord(self) -> float:
        """Distance ‖θ(1) − θ(0)‖ between the ends."""
        return float(np.sqrt(max(float(self._gram.sum()), 0.0)))

    @property
    def length(self) -> float:
        """Arc length ∫ ‖dθ/dt‖ dt."""
        return float(self.arc([1.0])[0])

    @property
    def ratio(self) -> np.float64:
        """Arc length over chord, at least 1; NaN if the ends are equal."""
        return np.float64(self.length / self.chord) if self.chord > 0.0 else np.float64("nan")

    @property
    def farthest(self) -> int:
        """Which control point lies farthest from the straight line through the ends."""
        ahead = np.concatenate([np.zeros((1, len(self._gram))), np.cumsum(self._gram, 0)])
        along = ahead.sum(1)  # times the chord's length; of the squares from the first point, off it:
        squares = np.concatenate([[0.0], np.cumsum(ahead[1:], 1).diagonal()])
        return int(np.argmax(squares - along**2 / max(along[-1], np.finfo(float).tiny)))

    def arc(self, ts: ArrayLike) -> Array:
        """Arc length from 0 to each of ``ts`` (k,), in any order.

        All speeds come from the Gram matrix of the steps between control points, in float64: no vector of
        length P is made. A chain's lengths are exact; a curve's are integrated by Gauss and Legendre.
        """
        ts = np.asarray(ts, dtype=np.float64)
        panels = np.array(self.knots) if self.kind == "polychain" else np.linspace(0.0, 1.0, PANELS + 1)
        # Each place asked for ends a panel, so that its length is a sum of whole panels.
        grid = np.union1d(np.clip(ts, 0.0, 1.0), panels)
        nodes, weights = np.polynomial.legendre.leggauss(NODES)
        half, middle = np.diff(grid) / 2, (grid[1:] + grid[:-1]) / 2
        speeds = np.array(
            [[self._speed(m + h * x) for x in nodes] for m, h in zip(middle, half, strict=True)]
        )
        lengths = np.concatenate([[0.0], np.cumsum(half * (speeds @ weights))])
        return np.asarray(lengths[np.searchsorted(grid, np.clip(ts, 0.0, 1.0))])

    @cached_property
    def _gram(self) -> Array:
        """Inner products (m−1, m−1) of the steps from each control point to the next."""
        steps = self.points[1:] - self.points[:-1]
        return np.array([[inner_product(a, b) for b in steps] for a in steps])

    def _speed(self, t: float) -> float:
        slopes = self._slopes(t)
        # A square, but rounding may leave it below zero where the curve stands still.
        return float(np.sqrt(max(float(slopes @ self._gram @ slopes), 0.0)))

    def _slopes(self, t: float) -> Array:
        """Shares (m−1,) of the steps between control points in dθ/dt."""
        n = len(self.points) - 1
        if self.kind == "bezier":
            return n * _bernstein(n - 1, t)
        segment, _ = self._segment(t)
        slopes = np.zeros(n)
        slopes[segment] = 1.0 / (self.knots[segment + 1] - self.knots[segment])
        return slopes

    def _segment(self, t: float) -> tuple[int, float]:
        """Which segment t lies in, and the share of it that is passed."""
        last = len(self.points) - 2
        segment = min(max(int(np.searchsorted(self.knots, t, side="right")) - 1, 0), last)
        low, high = self.knots[segment : segment + 2]
        return segment, (t - low) / (high - low)


def straight(a: Tensor, b: Tensor) -> Curve:
    """The straight line from ``a`` (P,) to ``b`` (P,)."""
    return Curve("bezier", torch.stack([a, b]))


def bent(a: Tensor, b: Tensor, bends: int, kind: CurveKind = "bezier") -> Curve:
    """A curve with ``bends`` free control points, which start evenly spaced on the chord.

    Raises:
        InputError: If there is no bend.
    """
    if bends < 1:
        raise InputError(f"a curve needs at least one bend; got {bends}.")
    shares: Sequence[float] = [i / (bends + 1) for i in range(1, bends + 1)]
    return Curve(kind, torch.stack([a, *(torch.lerp(a, b, share) for share in shares), b]))


def _bernstein(degree: int, t: float) -> Array:
    i = np.arange(degree + 1)
    binomials = np.array([comb(degree, k) for k in i], dtype=np.float64)
    return np.asarray(binomials * t**i * (1.0 - t) ** (degree - i))
