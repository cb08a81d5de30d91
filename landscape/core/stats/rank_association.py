"""Kendall's τ of two numbers of every model, its interval over cells, and signs in a grid of settings.

Models of one cell (one group with one set of tags) differ by their seed alone: they share what the cell does
to both numbers, so that cells are left out one by one for the interval, and not models. A τ over all models
may come from one setting alone; the granulated one asks whether two numbers go together whichever setting
changes (Jiang et al. 2020), and the worst environment where they do not (Dziugaite et al. 2020).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Association", "Design", "associate", "design_of", "kendall"]

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

LEAST_CELLS = 3
"""Cells from which on there is an interval: of two, each left out leaves one, which is chance alone."""


@dataclass(frozen=True)
class Design:
    """Which models share a cell, and how cells differ.

    Attributes:
        cells: The cell of each model (n,), from 0 on.
        axes: Settings, by name; each says which of its values every cell has (c,).
        values: What these values are, by name.
    """

    cells: Integers
    axes: dict[str, Integers]
    values: dict[str, tuple[Any, ...]]

    def slices(self) -> dict[str, list[Integers]]:
        """For each axis the sets of cells that differ in it alone; axes without any are left out."""
        found: dict[str, list[Integers]] = {}
        for name in self.axes:
            others = [column for other, column in self.axes.items() if other != name]
            keys: dict[tuple[int, ...], list[int]] = {}
            for cell in range(len(self.axes[name])):
                keys.setdefault(tuple(int(column[cell]) for column in others), []).append(cell)
            sets = [np.array(cells) for cells in keys.values() if len(cells) > 1]
            if sets:
                found[name] = sets
        return found


@dataclass(frozen=True)
class Association:
    """How one number goes with another; what cannot be told is NaN.

    Attributes:
        tau: Kendall's τ_b over all models of which both are known.
        low: Lower end of its 95 % interval over cells, by the jackknife.
        high: Upper end.
        models: Models of which both are known.
        psi: Granulated τ: mean over axes of the mean τ of cells that differ in this axis alone.
        by_axis: That mean for each axis.
        worst_error: Largest share of pairs of cells in wrong order, over environments: pairs of values of one
            axis, all other settings equal. The number is taken with the sign of ``psi``; ties count half.
        worst: That environment, ``"width: 8, 16"``.
    """

    tau: float
    low: float
    high: float
    models: int
    psi: float
    by_axis: dict[str, float]
    worst_error: float
    worst: str


def design_of(settings: Mapping[str, Sequence[Any]]) -> Design:
    """The design of models with these settings: group, tags.

    A setting that is the same everywhere, that follows from the others, or that has a value of its own for
    every model though others repeat, is no axis.

    Args:
        settings: One value for each model, by name; of those that say the same the first is kept.

    Example:
        >>> design = design_of({"group": ["a", "a", "b", "b"], "width": [8, 16, 8, 16]})
        >>> list(design.axes), design.cells.tolist()
        (['group', 'width'], [0, 1, 2, 3])
    """
    coded = {name: _coded(values) for name, values in settings.items()}
    count = max((len(codes) for codes, _ in coded.values()), default=0)
    kept = {name: codes for name, (codes, _) in coded.items() if 1 < len(set(codes)) < count}
    if not kept:  # every model has settings of its own, if any
        kept = {name: codes for name, (codes, _) in coded.items() if len(set(codes)) > 1}
    partitions = [codes.tolist() for codes in kept.values()]
    kept = {n: codes for i, (n, codes) in enumerate(kept.items()) if partitions[i] not in partitions[:i]}
    for name in list(kept):
        others = [codes for other, codes in kept.items() if other != name]
        if others and len(set(zip(*others, strict=True))) == len(set(zip(*others, kept[name], strict=True))):
            del kept[name]
    rows = list(zip(*kept.values(), strict=True)) if kept else [()] * count
    first = list(dict.fromkeys(rows))
    # Where nothing tells models apart, each is a cell of its own.
    cells = np.array([first.index(row) for row in rows] if kept else range(count), dtype=np.int64)
    axes = {name: np.array([row[i] for row in first], dtype=np.int64) for i, name in enumerate(kept)}
    return Design(cells, axes, {name: coded[name][1] for name in kept})


def associate(measure: ArrayLike, outcome: ArrayLike, design: Design) -> Association:
    """How a number goes with an outcome over the models of a design.

    Models of which one of the two is NaN are left out, and counted as such; a cell counts with the means of
    its others.

    Args:
        measure: One number for each model (n,).
        outcome: The other (n,).
        design: Of these models.

    Reference:
        Jiang et al. (2020), Fantastic generalization measures and where to find them, equations 5 and 6;
        Dziugaite et al. (2020), In search of robust measures of generalization, section 3.

    Example:
        >>> grid = design_of({"width": [1, 1, 2, 2], "rate": [1, 2, 1, 2]})
        >>> found = associate([0, 0, 1, 1], [0, 1, 2, 3], grid)  # follows the width alone
        >>> found.psi, found.worst_error, found.worst
        (0.5, 0.5, 'rate: 1, 2')
    """
    x, y = (np.asarray(v, dtype=np.float64) for v in (measure, outcome))
    known = ~(np.isnan(x) | np.isnan(y))
    x, y, cells = x[known], y[known], design.cells[known]
    tau, low, high = kendall(x, y, cells)
    count = len(next(iter(design.axes.values()), []))
    a, b = (_means(v, cells, count) for v in (x, y))
    by_axis = {}
    for name, sets in design.slices().items():
        taus = [_agreement(a[s], b[s]) for s in sets]
        taus = [v for v in taus if not np.isnan(v)]
        if taus:
            by_axis[name] = float(np.mean(taus))
    psi = float(np.mean(list(by_axis.values()))) if by_axis else float("nan")
    worst_error, worst = _worst(a, b, design, -1.0 if psi < 0 else 1.0)
    return Association(tau, low, high, int(known.sum()), psi, by_axis, worst_error, worst)


def kendall(x: ArrayLike, y: ArrayLike, cells: Integers | None = None) -> tuple[float, float, float]:
    """Kendall's τ_b and its 95 % interval.

    The interval is that of the jackknife over cells with Student's factor. Where no cell changes τ, as when
    all pairs agree, it is the one that the largest variance of τ allows, 2(1 − τ²)/c (Kendall & Gibbons 1990,
    section 4.8): that all cells seen agree does not say that all do.

    Args:
        x: One number for each model (n,).
        y: The other (n,).
        cells: The cell of each model (n,), from 0 on; each its own by default.

    Returns:
        Value, lower and upper end. NaN with a NaN among the numbers, or if one of the two never changes; no
        interval for fewer than three cells.

    Example:
        >>> [round(v, 3) for v in kendall([1, 2, 3, 4, 5], [1, 2, 3, 5, 4])]
        [0.8, -0.107, 1.0]
    """
    a, b = (np.asarray(v, dtype=np.float64) for v in (x, y))
    nothing = float("nan")
    if a.size < 2 or np.isnan(a).any() or np.isnan(b).any():
        return nothing, nothing, nothing
    place = np.arange(a.size) if cells is None else np.unique(cells, return_inverse=True)[1].ravel()
    first, second = np.triu_indices(a.size, 1)
    up, right = np.sign(_steps(a, first, second)), np.sign(_steps(b, first, second))
    count = int(place.max()) + 1
    sums = np.empty(
        (3, count + 1)
    )  # of signs, and of pairs that differ in x and in y; the last is that of all
    for row, values in enumerate((up * right, np.abs(up), np.abs(right))):
        total = values.sum()
        at = np.bincount(place[first], values, count) + np.bincount(place[second], values, count)
        inside = place[first] == place[second]
        twice = np.bincount(place[first][inside], values[inside], count)
        sums[row] = np.append(total - at + twice, total)
    with np.errstate(invalid="ignore", divide="ignore"):
        taus = sums[0] / np.sqrt(sums[1] * sums[2])
    tau = float(np.clip(taus[-1], -1.0, 1.0))
    if count < LEAST_CELLS or np.isnan(taus).any():
        return tau, nothing, nothing
    from scipy.special import stdtrit

    without = taus[:-1]
    error = float(np.sqrt((count - 1) / count * np.square(without - without.mean()).sum()))
    factor = float(stdtrit(count - 1, 0.975))
    if error > 1e-12:
        return tau, max(tau - factor * error, -1.0), min(tau + factor * error, 1.0)
    most = 2.0 * factor**2 / count
    half = float(np.sqrt(most * (1.0 + most - tau**2)))
    return tau, max((tau - half) / (1 + most), -1.0), min((tau + half) / (1 + most), 1.0)


def _steps(values: Array, first: Integers, second: Integers) -> Array:
    """Differences of which only the sign counts; of two equal infinities none."""
    return np.where(values[first] == values[second], 0.0, np.where(values[second] > values[first], 1.0, -1.0))


def _coded(values: Sequence[Any]) -> tuple[Integers, tuple[Any, ...]]:
    distinct = list(dict.fromkeys(values))
    return np.array([distinct.index(v) for v in values], dtype=np.int64), tuple(distinct)


def _means(values: Array, cells: Integers, count: int) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.bincount(cells, values, count) / np.bincount(cells, minlength=count))


def _agreement(a: Array, b: Array) -> float:
    """Mean over pairs of the product of the signs of both differences (Jiang et al. 2020, equation 4)."""
    known = ~(np.isnan(a) | np.isnan(b))
    a, b = a[known], b[known]
    if a.size < 2:
        return float("nan")
    first, second = np.triu_indices(a.size, 1)
    return float((_steps(a, first, second) * _steps(b, first, second)).mean())


def _worst(a: Array, b: Array, design: Design, sign: float) -> tuple[float, str]:
    """The environment with the most pairs in wrong order, and their share."""
    errors: dict[str, list[float]] = {}
    for name, sets in design.slices().items():
        codes, values = design.axes[name], design.values[name]
        for cells in sets:
            for i, j in combinations(cells.tolist(), 2):
                pair = np.array(sorted((i, j), key=lambda cell: codes[cell]))
                agreement = _agreement(a[pair], b[pair])
                if not np.isnan(agreement):
                    which = f"{name}: {values[codes[pair[0]]]}, {values[codes[pair[1]]]}"
                    errors.setdefault(which, []).append((1.0 - sign * agreement) / 2)
    if not errors:
        return float("nan"), ""
    worst = max(errors, key=lambda which: np.mean(errors[which]))
    return float(np.mean(errors[worst])), worst
