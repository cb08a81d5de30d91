"""Decimation: a figure whose data would make a page heavy is drawn with fewer values, and says so."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from landscape.base.figure import FigureSpec, Heatmap, Line, Points
from landscape.base.panels import each_panel

__all__ = ["LARGEST_FIELD", "LONGEST_LINE", "decimate"]

Array = NDArray[np.float64]

LONGEST_LINE = 500
"""Points of one line."""

LARGEST_FIELD = 160
"""Rows or columns of one field."""

_Long = TypeVar("_Long", bound=Line | Points)


def decimate(spec: FigureSpec) -> FigureSpec:
    """The figure with at most `LONGEST_LINE` points a line and `LARGEST_FIELD` rows and columns a field.

    Lines keep every second, third, ... point and the last. Fields keep the mean of each block of cells,
    or every second, third, ... value where contours are drawn.
    """
    if spec.panels:
        return each_panel(spec, decimate)
    marks = []
    notes: dict[str, None] = {}
    for mark in spec.marks:
        if isinstance(mark, Line | Points) and np.asarray(mark.x).size > LONGEST_LINE:
            mark = _decimated_line(mark)
            notes["Long lines are drawn through some of their points."] = None
        elif isinstance(mark, Heatmap) and max(np.asarray(mark.z).shape) > LARGEST_FIELD:
            rows, columns = np.asarray(mark.z).shape
            mark = _decimated_field(mark)
            means = "single values" if mark.contours else "means of blocks"
            notes[f"The field of {rows} × {columns} values is drawn from {means}."] = None
        marks.append(mark)
    if not notes:
        return spec
    caption = " ".join([spec.caption, *notes, "The store holds all."]).strip()
    return replace(spec, marks=tuple(marks), caption=caption)


def _decimated_line(mark: _Long) -> _Long:
    size = np.asarray(mark.x).size
    # With the last, so that a line still ends where it did.
    keep = np.unique(np.append(np.arange(0, size, -(-size // LONGEST_LINE)), size - 1))
    arrays = {n: getattr(mark, n, None) for n in ("x", "y", "low", "high", "error")}
    per_point = {n: getattr(mark, n, ()) for n in ("texts", "symbols")}
    changed = {n: np.asarray(a)[keep] for n, a in arrays.items() if a is not None}
    changed |= {n: tuple(t[i] for i in keep) for n, t in per_point.items() if t}
    return replace(mark, **changed)


def _decimated_field(mark: Heatmap) -> Heatmap:
    z = np.asarray(mark.z, dtype=np.float64)
    rows, columns = (-(-n // LARGEST_FIELD) for n in z.shape)
    if mark.contours:
        x, y, z = np.asarray(mark.x)[::columns], np.asarray(mark.y)[::rows], z[::rows, ::columns]
    else:
        x, y = _blocks(np.asarray(mark.x), columns), _blocks(np.asarray(mark.y), rows)
        z = np.stack([_blocks(line, columns) for line in z])
        z = np.stack([_blocks(line, rows) for line in z.T]).T
    return replace(mark, x=x, y=y, z=z)


def _blocks(values: Array, size: int) -> Array:
    """The means of stretches of ``size`` values, of what is finite in them."""
    padded = np.append(values, np.full(-values.size % size, np.nan)).reshape(-1, size)
    finite = np.isfinite(padded)
    count = finite.sum(axis=1)
    total = np.where(finite, padded, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
