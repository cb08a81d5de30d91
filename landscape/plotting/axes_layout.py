"""Axes layout: what every back end must decide the same way, worked out once from a `FigureSpec`.

Where bars and stems of several models stand, where a stem starts on a log axis, which marks enter
the legend, when a colour bar takes the legend's place, and how far the axes and colours reach.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from landscape.base.figure import (
    Axis,
    Bars,
    ColorAxis,
    FigureSpec,
    Guide,
    Heatmap,
    Line,
    Mark,
    Points,
    Stems,
    Violin,
)
from landscape.plotting.scales import from_symlog, log_ticks, number, symlog, symlog_ticks
from landscape.plotting.violin_outline import HALF_WIDTH

__all__ = [
    "AxesLayout",
    "Slot",
    "axes_layout",
    "color_limits",
    "color_ticks",
    "edges",
    "finite_runs",
    "has_field",
    "padded",
    "with_gaps",
]

Array = NDArray[np.float64]

MOST_CATEGORIES = 24
"""Categories that an axis has room to name; of more, every second, third, ... is named."""

MOST_RANKS = 20

MOST_NAMED_LINES = 8
"""Lines coloured by value get a legend up to this many, a colour bar beyond."""


@dataclass(frozen=True)
class Slot:
    """Where the bars or stems of one mark stand beside those of other models.

    Attributes:
        offset: Added to x.
        width: The width of a bar.
    """

    offset: float
    width: float


@dataclass(frozen=True)
class AxesLayout:
    """The decisions for one figure.

    Attributes:
        slots: By index of the mark; bars and stems only.
        named: Indices of the marks that carry a legend entry.
        bar: The colour bar for lines with a ``color_value``, if there is one.
        extents: Smallest and largest finite value on each axis, ``(0, 1)`` if there is none.
        floor: Where stems, bars and bands start on the y axis.
        alike: Whether the lines coloured by value are of one model, so that its dash would say nothing.
        crowded_guides: Whether labels of vertical and horizontal guides could meet at the top right.
    """

    slots: dict[int, Slot]
    named: frozenset[int]
    bar: ColorAxis | None
    extents: dict[str, tuple[float, float]]
    floor: float
    alike: bool
    crowded_guides: bool

    def at_end(self, spec: FigureSpec, guide: Guide) -> bool:
        """Whether a guide lies so near the upper end of its axis that its label must turn back."""
        name, axis, at = ("x", spec.x, guide.x) if guide.x is not None else ("y", spec.y, guide.y)
        low, high, value = _positions(axis, [*(axis.limits or self.extents[name]), at])
        # Labels are wide and low: they take up a fifth of the width, but a twelfth of the height.
        return bool(value > low + (0.8 if name == "x" else 0.92) * (high - low))

    def ticks(self, spec: FigureSpec, name: Literal["x", "y"]) -> list[float] | None:
        """Tick values that back ends must set themselves: of categories, ranks and symlog axes."""
        axis = spec.x if name == "x" else spec.y
        if axis.categories is not None:
            stride = -(-len(axis.categories) // MOST_CATEGORIES)  # the others would overlap
            return [float(i) for i in range(0, len(axis.categories), stride)]
        if name == "x" and axis.scale == "linear" and (ranks := _ranks(spec)):
            return ranks
        if axis.scale == "symlog":
            low, high = axis.limits or self.extents[name]
            return symlog_ticks(low, high, axis.linthresh)
        return None


def _ranks(spec: FigureSpec) -> list[float]:
    """The whole numbers at which bars, stems or marked lines stand; none if elsewhere, or at too many.

    Nor at epochs that lie close in places, whose numbers would overlap.
    """
    single = [m for m in spec.marks if isinstance(m, Bars | Stems) or (isinstance(m, Line) and m.markers)]
    found = {float(x) for m in single for x in np.asarray(m.x)}
    # Left to themselves, back ends would put ticks between ranks, at 2.5.
    whole = all(np.isfinite(x) and x == round(x) for x in found)
    ranks = sorted(found) if whole and len(found) <= MOST_RANKS else []
    gaps = np.diff(ranks)
    crowded = gaps.size and gaps.min() < min(gaps.max(), gaps.sum() / 12)
    return [] if crowded else ranks


def axes_layout(spec: FigureSpec) -> AxesLayout:
    """Work out the shared decisions for a figure."""
    spec = with_gaps(spec)
    bar = _line_bar(spec)
    slots = {**_slots(spec, Bars, 0.8), **_slots(spec, Stems, 0.5)}
    extents = {name: _extent(spec, name, slots) for name in ("x", "y")}
    return AxesLayout(
        slots=slots,
        named=_named(spec, bar),
        bar=bar,
        extents=extents,
        floor=_floor(spec, extents["y"]),
        alike=len({m.series.model for m in spec.marks if isinstance(m, Line) and m.color_value is not None})
        == 1,
        crowded_guides=len({g.x is None for g in spec.marks if isinstance(g, Guide) and g.label}) > 1,
    )


def with_gaps(spec: FigureSpec) -> FigureSpec:
    """The figure with NaN for what has no place: infinities, and x on a logarithmic axis unless positive."""
    return replace(spec, marks=tuple(_with_gaps(mark, spec.x) for mark in spec.marks))


def _with_gaps(mark: Mark, along: Axis) -> Mark:
    if isinstance(mark, Guide):
        return mark
    arrays = {n: getattr(mark, n, None) for n in ("x", "y", "z", "low", "high", "error")}
    finite = {n: np.where(np.isfinite(a), a, np.nan) for n, a in arrays.items() if a is not None}
    if along.scale == "log" and isinstance(mark, Line | Points | Stems):
        finite["x"] = np.where(finite["x"] > 0, finite["x"], np.nan)
    return replace(mark, **finite)  # type: ignore[arg-type]


def color_limits(color: ColorAxis, *fields: Array) -> tuple[float, float]:
    """The values at the ends of a colour map; symmetric about zero for a diverging one."""
    low, high = color.limits or _range(fields, positive=color.scale == "log")
    if color.kind == "diverging" and color.scale == "linear":
        reach = max(abs(low), abs(high))
        return -reach, reach
    return low, high


def color_ticks(color: ColorAxis, limits: tuple[float, float]) -> tuple[list[float], list[str]]:
    """Ticks of a log colour bar: values and texts."""
    values = log_ticks(*limits)
    return values, [number(v) for v in values]


def has_field(spec: FigureSpec) -> bool:
    """Whether the figure shows a field, which fills its axes and lies under everything else."""
    return any(isinstance(m, Heatmap) for m in spec.marks)


def edges(centres: Array) -> Array:
    """The borders of cells around their centres.

    Example:
        >>> edges(np.array([0.0, 1.0, 3.0])).tolist()
        [-0.5, 0.5, 2.0, 4.0]
    """
    if centres.size < 2:
        return np.concatenate([centres - 0.5, centres[-1:] + 0.5])
    middles = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - middles[0]], middles, [2 * centres[-1] - middles[-1]]])


def padded(extent: tuple[float, float], axis: Axis, pad: bool) -> tuple[float, float]:
    """The range of an axis that shows ``extent``, with a margin of 4 % if asked for, but none at zero."""
    low, high = extent
    share = 0.04 if pad else 0.0
    if axis.scale == "log":
        margin = share * (np.log10(high) - np.log10(low))
        return float(low / 10**margin), float(high * 10**margin)
    if axis.scale == "symlog":
        ends = symlog([low, high], axis.linthresh)
        margin = share * (ends[1] - ends[0])
        below, above = from_symlog([ends[0] - margin, ends[1] + margin], axis.linthresh)
        return float(below), float(above)
    margin = share * (high - low)
    return (low - margin if low else 0.0), high + margin


def finite_runs(*arrays: Array) -> Iterator[slice]:
    """The stretches over which all arrays are finite, so that a gap splits a band in two.

    Example:
        >>> [(s.start, s.stop) for s in finite_runs(np.array([1.0, np.nan, 2.0, 3.0]))]
        [(0, 1), (2, 4)]
    """
    good = np.isfinite(np.stack(arrays)).all(axis=0)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]]).astype(int)))
    for start, stop in edges.reshape(-1, 2):
        yield slice(int(start), int(stop))


def _positions(axis: Axis, values: Sequence[float | None]) -> Array:
    """Where values stand along an axis, up to offset and factor."""
    array = np.asarray(values, dtype=np.float64)
    if axis.scale == "symlog":
        return symlog(array, axis.linthresh)
    if axis.scale == "log":
        return np.log10(np.where(array > 0, array, np.nan))
    return array


def _values(mark: Mark, axis: str, slot: Slot | None) -> list[Array]:
    """What a mark takes up on an axis."""
    if isinstance(mark, Guide):
        at = mark.x if axis == "x" else mark.y
        return [] if at is None else [np.array([at])]
    if isinstance(mark, Heatmap):
        centres = np.asarray(mark.x if axis == "x" else mark.y)
        return [centres if mark.contours else edges(centres)]
    if axis == "x" and isinstance(mark, Violin):
        return [mark.x + np.array([-HALF_WIDTH, HALF_WIDTH])]
    if axis == "x":
        x = np.asarray(mark.x)
        half = slot.width / 2 if slot is not None else 0.0
        middle = x + (slot.offset if slot is not None else 0.0)
        return [middle - half, middle + half]
    arrays = [np.asarray(mark.y)]
    if isinstance(mark, Line) and mark.low is not None and mark.high is not None:
        arrays += [np.asarray(mark.low), np.asarray(mark.high)]
    if isinstance(mark, Points | Stems | Bars) and mark.error is not None:
        arrays += [arrays[0] - np.asarray(mark.error), arrays[0] + np.asarray(mark.error)]
    if isinstance(mark, Stems | Bars):
        arrays.append(np.zeros(1))
    return arrays


def _range(arrays: list[Array] | tuple[Array, ...], positive: bool = False) -> tuple[float, float]:
    values = np.concatenate([np.ravel(a) for a in arrays]) if arrays else np.empty(0)
    values = values[np.isfinite(values) & ((values > 0) | (not positive))]
    if not values.size:
        return (1.0, 10.0) if positive else (0.0, 1.0)
    low, high = float(values.min()), float(values.max())
    if low < high:
        return low, high
    # An axis needs a length, also for a single value.
    return (low / 2, low * 2) if positive else (low - 0.5, low + 0.5)


def _extent(spec: FigureSpec, name: str, slots: dict[int, Slot]) -> tuple[float, float]:
    axis = spec.x if name == "x" else spec.y
    arrays = [a for i, mark in enumerate(spec.marks) for a in _values(mark, name, slots.get(i))]
    return axis.limits or _range(arrays, positive=axis.scale == "log")


def _floor(spec: FigureSpec, extent: tuple[float, float]) -> float:
    if spec.y.scale != "log":
        return 0.0
    # Below the smallest value, so that its bar or stem has a height.
    return extent[0] if spec.y.limits else extent[0] / 2


def _slots(spec: FigureSpec, kind: type[Bars] | type[Stems], share: float) -> dict[int, Slot]:
    """Marks of one kind stand side by side where they share positions, else in place."""
    marks = {i: np.unique(np.asarray(m.x)) for i, m in enumerate(spec.marks) if isinstance(m, kind)}
    if not marks:
        return {}
    together = np.concatenate(list(marks.values()))
    places = np.unique(together[np.isfinite(together)])
    spacing = float(np.diff(places).min()) if places.size > 1 else 1.0
    # On a logarithmic axis the same shift would be wider the farther left a mark stands.
    crowded = len(marks) > 1 and places.size < together.size and spec.x.scale == "linear"
    step = share * spacing / len(marks) if crowded else 0.0
    width = step if crowded else share * spacing
    middle = (len(marks) - 1) / 2
    return {i: Slot((k - middle) * step, width) for k, i in enumerate(marks)}


def _line_bar(spec: FigureSpec) -> ColorAxis | None:
    lines = [m for m in spec.marks if isinstance(m, Line) and m.color_value is not None]
    if not lines:
        return None
    if spec.color is not None:
        return spec.color
    names = {m.series.name for m in lines}
    return ColorAxis("first to last", limits=(0.0, 1.0)) if len(names) > MOST_NAMED_LINES else None


def _named(spec: FigureSpec, bar: ColorAxis | None) -> frozenset[int]:
    """The first mark of each name, unless its colour is read off the colour bar."""
    first: dict[tuple[str, str], int] = {}
    for i, mark in enumerate(spec.marks):
        if isinstance(mark, Guide | Heatmap) or not mark.series.name:
            continue
        if isinstance(mark, Line) and mark.color_value is not None and bar is not None:
            continue
        if isinstance(mark, Line) and not _shows(mark, spec.y):
            continue
        first.setdefault((mark.series.model, mark.series.name), i)
    return frozenset(first.values())


def _shows(line: Line, axis: Axis) -> bool:
    """Whether anything of a line can be seen: a log axis shows no zeros."""
    y = np.asarray(line.y)
    return axis.scale != "log" or not y.size or bool((y > 0).any())
