"""Adaptive refinement: which points of a grid to evaluate, and what lies between them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import LinearNDInterpolator, RBFInterpolator
from scipy.spatial import QhullError, cKDTree

from landscape.errors import InputError

__all__ = ["FEWEST", "fill", "refine"]

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]

FEWEST = 25
"""Fewest evaluations that say anything about a surface."""

BASE_SHARE = 0.19
# Nodes of a round: several, since each round fits two interpolants to all that is known.
ROUND_LEAST, ROUND_SHARE = 16, 0.05
MOST_CANDIDATES = 10_000
MOST_GLOBAL, NEIGHBORS = 1_000, 64
"""A spline through more points than this is local, through so many neighbours of each place."""


def refine(
    shape: tuple[int, int],
    budget: int,
    evaluate: Callable[[Index], Array],
    agree: Callable[[Index], Index] = lambda chosen: chosen,
) -> tuple[Array, Mask]:
    """Evaluate a function at those nodes of a grid where it bends most.

    A coarse even grid takes a fifth of the budget. Then, round by round, nodes are chosen where two
    interpolants of the known values differ most, the piecewise linear one and the thin-plate spline,
    times the distance to the nearest known node: their difference estimates the error of linear
    interpolation, the distance keeps gaps from being forgotten. Nodes of one round keep apart. The
    choice depends on the values alone, so a repeated run makes the same one.

    Args:
        shape: Nodes along y and x.
        budget: How many nodes to evaluate, at least `FEWEST`; the whole grid if it has no more.
        evaluate: Flat indices of nodes -> values, called once per round; NaN and infinity are never
            interpolated, and gaps beside them not refined.
        agree: Called with each choice of flat indices, before they are evaluated; returns the choice to
            use. Lets several workers, whose rounding may differ, make the same one.

    Returns:
        Values (ny, nx), NaN where not evaluated, and where they were evaluated.

    Raises:
        InputError: If the budget is too small.
    """
    if budget < FEWEST:
        raise InputError(f"adaptive refinement needs at least {FEWEST} evaluations; got {budget}.")
    values, known = np.full(shape, np.nan), np.zeros(shape, bool)

    def take(chosen: Index) -> None:
        chosen = agree(chosen)
        values.flat[chosen] = evaluate(chosen)
        known.flat[chosen] = True

    if budget >= known.size:
        take(np.arange(known.size))
        return values, known
    side = max(int(math.sqrt(BASE_SHARE * budget)), 3)
    rows, columns = (_even(n, side) for n in shape)
    take((rows[:, None] * shape[1] + columns).ravel())
    turn = 0
    while (count := int(known.sum())) < budget:
        most = min(max(ROUND_LEAST, int(ROUND_SHARE * count)), budget - count)
        take(_choose(values, known, most, turn))
        turn += 1
    return values, known


def fill(values: Array, known: Mask) -> Array:
    """Values at all nodes of a grid: the known ones, and between them a cubic radial-basis interpolant.

    A node whose nearest known node is not finite stays NaN.

    Args:
        values: (ny, nx).
        known: Which of them were evaluated.
    """
    nodes = _unit_nodes(values.shape)
    good = (known & np.isfinite(values)).ravel()
    filled = np.where(known, values, np.nan).ravel()
    open_ = ~known.ravel() & _beside_finite(nodes, known.ravel(), good)
    if good.sum() >= 3 and open_.any():
        filled[open_] = _spline(nodes[good], filled[good], nodes[open_], "cubic")
    return filled.reshape(values.shape)


def _choose(values: Array, known: Mask, most: int, turn: int) -> Index:
    """Flat indices of up to ``most`` open nodes, the most promising first; at least one."""
    nodes = _unit_nodes(values.shape)
    flat, good = known.ravel(), (known & np.isfinite(values)).ravel()
    open_ = np.flatnonzero(~flat)
    stride = math.ceil(len(open_) / MOST_CANDIDATES)
    # Other candidates in every round, so that each node comes up, however many there are.
    open_ = open_[turn % stride :: stride]
    gaps = cKDTree(nodes[flat]).query(nodes[open_])[0]
    scores = _disagreement(nodes[good], values.ravel()[good], nodes[open_]) * gaps
    scores[~_beside_finite(nodes[open_], flat, good, nodes)] = 0.0
    # Where the interpolants agree, as on a plane, the largest gaps come first.
    if not scores.any():
        scores = gaps
    chosen: list[int] = []
    for index in np.argsort(-scores, kind="stable"):
        apart = np.linalg.norm(nodes[open_[chosen]] - nodes[open_[index]], axis=1)
        # A node nearer to one just chosen than to a known one can wait: its error may be gone by then.
        if not chosen or apart.min() >= gaps[index]:
            chosen.append(int(index))
        if len(chosen) == most:
            break
    return open_[chosen]


def _disagreement(nodes: Array, values: Array, at: Array) -> Array:
    """|thin-plate spline − linear interpolant|; zeros where there is no linear one."""
    linear = _linear(nodes, values, at)
    if np.isnan(linear).all():
        return np.zeros(len(at))
    spline = _spline(nodes, values, at, "thin_plate_spline")
    return np.asarray(np.nan_to_num(np.abs(spline - linear)), np.float64)


def _spline(nodes: Array, values: Array, at: Array, kernel: str) -> Array:
    neighbors = NEIGHBORS if len(nodes) > MOST_GLOBAL else None
    if np.linalg.matrix_rank(nodes - nodes.mean(0)) < 2:  # which the spline notices of some lines only
        return _linear(nodes, values, at)
    try:
        return np.asarray(RBFInterpolator(nodes, values, neighbors, kernel=kernel)(at), np.float64)
    except np.linalg.LinAlgError:  # some neighbours lie on a line
        return _linear(nodes, values, at)


def _linear(nodes: Array, values: Array, at: Array) -> Array:
    """The piecewise linear interpolant; NaN outside the nodes' hull, and where they span no plane."""
    try:
        return np.asarray(LinearNDInterpolator(nodes, values)(at), np.float64)
    except (QhullError, ValueError):  # fewer than three nodes, or all on a line
        return np.full(len(at), np.nan)


def _beside_finite(at: Array, known: Mask, good: Mask, nodes: Array | None = None) -> Mask:
    """Whether the known node nearest to each place has a finite value."""
    nodes = at if nodes is None else nodes
    nearest = cKDTree(nodes[known]).query(at)[1]
    return np.asarray(good[known][nearest], bool)


def _even(n: int, count: int) -> Index:
    """Indices of about ``count`` evenly spaced ones of n nodes, both ends among them."""
    return np.unique(np.round(np.linspace(0, n - 1, min(count, n))).astype(np.intp))


def _unit_nodes(shape: tuple[int, ...]) -> Array:
    """Nodes of a grid over the unit square, (ny nx, 2)."""
    return np.stack(np.meshgrid(*(np.linspace(0, 1, n) for n in shape), indexing="ij"), -1).reshape(-1, 2)
