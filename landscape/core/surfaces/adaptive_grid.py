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

BASE_SHARE = 0.25
# Nodes of a round: several, since each round fits two splines to all that is known.
ROUND_LEAST, ROUND_SHARE = 16, 0.05
MOST_CANDIDATES = 10_000
MOST_GLOBAL, NEIGHBORS = 1_000, 64
"""A spline through more points than this is local, through so many neighbours of each place."""
BESIDE = 4
"""Known nodes whose errors tell that of a place between them."""
KINK = 0.3
"""What the linear interpolant says weighs less: it is far from the spline on smooth surfaces too."""


def refine(
    shape: tuple[int, int],
    budget: int,
    evaluate: Callable[[Index], Array],
    agree: Callable[[Index], Index] = lambda chosen: chosen,
) -> tuple[Array, Mask]:
    """Evaluate a function at those nodes of a grid where the spline through the others errs most.

    An even grid takes a quarter of the budget. Then, round by round, nodes are chosen by estimates of the
    error of the cubic spline that `fill` draws, added up: by how much it misses the nearest known nodes if
    each is left out (Rippa 1999), and how far the thin-plate spline lies from it and, for kinks, the
    piecewise linear interpolant. The sum is multiplied by the distance to the nearest known node, which
    keeps gaps from being forgotten. Nodes of one round keep apart. The choice depends on the values alone,
    so a repeated run makes the same one.

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
    scores = _expected_error(nodes[good], values.ravel()[good], nodes[open_]) * gaps
    scores[~_beside_finite(nodes[open_], flat, good, nodes)] = 0.0
    # Where nothing is missed, as on a plane, the largest gaps come first.
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


def _expected_error(nodes: Array, values: Array, at: Array) -> Array:
    """An estimate of the error of the cubic spline; zeros where there is none."""
    if _on_a_line(nodes):
        return np.zeros(len(at))
    try:
        missed = np.abs(_left_out(nodes, values))
    except np.linalg.LinAlgError:  # without one of them, the others lie on a line
        return np.zeros(len(at))
    nearest = cKDTree(nodes).query(at, k=min(BESIDE, len(nodes)))[1]
    cubic, thin = (_spline(nodes, values, at, kernel) for kernel in ("cubic", "thin_plate_spline"))
    kinks = np.nan_to_num(np.abs(cubic - _linear(nodes, values, at)))
    return np.asarray(missed[nearest].mean(-1) + np.abs(cubic - thin) + KINK * kinks, np.float64)


def _left_out(nodes: Array, values: Array) -> Array:
    """By how much the cubic spline through all other nodes misses each.

    The error at node k without it is cₖ / (A⁻¹)ₖₖ, with the matrix A of the spline through all nodes and its
    coefficients c: one inverse for all (Rippa 1999, Adv. Comput. Math. 11). Of many nodes, each is left out
    of its neighbours alone.
    """
    if len(nodes) <= MOST_GLOBAL:
        return np.asarray(_left_out_of(nodes[None], values[None])[0], np.float64)
    groups = cKDTree(nodes).query(nodes, k=min(NEIGHBORS, len(nodes)))[1]  # each node is its own nearest one
    parts = np.array_split(groups, math.ceil(len(groups) / MOST_CANDIDATES * NEIGHBORS))
    return np.concatenate([_left_out_of(nodes[part], values[part])[:, 0] for part in parts])


def _left_out_of(nodes: Array, values: Array) -> Array:
    """`_left_out` for each of several sets of nodes (sets, n, 2) with values (sets, n)."""
    sets, n, _ = nodes.shape
    near = nodes - nodes.mean(1, keepdims=True)
    near /= np.abs(near).max((1, 2), keepdims=True)
    matrix = np.zeros((sets, n + 3, n + 3))
    matrix[:, :n, :n] = np.linalg.norm(near[:, :, None] - near[:, None], axis=-1) ** 3
    plane = np.concatenate([np.ones((sets, n, 1)), near], -1)
    matrix[:, :n, n:], matrix[:, n:, :n] = plane, plane.transpose(0, 2, 1)
    inverse = np.linalg.inv(matrix)[:, :n, :n]
    errors: Array = np.einsum("sij,sj->si", inverse, values) / np.einsum("sii->si", inverse)
    return errors


def _spline(nodes: Array, values: Array, at: Array, kernel: str) -> Array:
    neighbors = NEIGHBORS if len(nodes) > MOST_GLOBAL else None
    if _on_a_line(nodes):  # which the spline notices of some lines only
        return _linear(nodes, values, at)
    try:
        return np.asarray(RBFInterpolator(nodes, values, neighbors, kernel=kernel)(at), np.float64)
    except np.linalg.LinAlgError:  # some neighbours lie on a line
        return _linear(nodes, values, at)


def _on_a_line(nodes: Array) -> bool:
    return len(nodes) < 3 or bool(np.linalg.matrix_rank(nodes - nodes.mean(0)) < 2)


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
