"""The numbers of a figure as CSV: one row per point or cell, whatever the marks."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import numpy as np

from landscape.base.figure import Axis, FigureSpec, Guide, Heatmap, Line, Mark, Violin
from landscape.base.panels import panels_of
from landscape.text import csv_cell

__all__ = ["csv_of"]

_DIGITS = 7
_EXTRA = ("low", "high", "error", "note")


def csv_of(spec: FigureSpec) -> str:
    """The data of a figure, with its axes' titles as the heads of the columns.

    Columns that no mark fills are left out. Numbers have seven digits; names of categories stand in place
    of their positions; NaN is written as ``nan``. Of panels, the first column says which.

    Example:
        >>> from landscape.base.figure import Series
        >>> print(csv_of(FigureSpec("f", "F", Axis("t", "s"), Axis("loss"), (Line([0], [2], Series("a")),))))
        series,t (s),loss
        a,0,2
        <BLANKLINE>
    """
    tables = [
        (panel, _heads(panel), [r for mark in panel.marks for r in _rows(panel, mark)])
        for panel in panels_of(spec)
    ]
    columns = list(dict.fromkeys(head for _, heads, _ in tables for head in heads))
    rows = [
        [panel.title, *(dict(zip(heads, row, strict=True)).get(head, "") for head in columns)]
        for panel, heads, told in tables
        for row in told
    ]
    heads = ["panel", *(head for _, head in columns)]
    first = 0 if spec.panels else 1
    filled = [i for i in range(first, len(heads)) if any(row[i] != "" for row in rows)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([csv_cell(heads[i]) for i in filled])
    writer.writerows([csv_cell(row[i]) for i in filled] for row in rows)
    return out.getvalue()


def _heads(spec: FigureSpec) -> list[tuple[str, str]]:
    """What each column holds and how it is called: panels may share all of it, or some."""
    fields = [m.color.title for m in spec.marks if isinstance(m, Heatmap)]
    named = {"series": "series", "x": spec.x.title or "x", "y": spec.y.title or "y"}
    named |= {extra: extra for extra in _EXTRA} | {"field": fields[0] if fields else "value"}
    return list(named.items())


def _rows(spec: FigureSpec, mark: Mark) -> Iterator[list[str]]:
    if isinstance(mark, Guide):
        return
    name = mark.series.name
    if isinstance(mark, Heatmap):
        xs, ys = _texts(spec.x, mark.x), _texts(spec.y, mark.y)
        values = np.asarray(mark.z)
        for i, j in np.ndindex(values.shape):
            yield [name, xs[j], ys[i], "", "", "", "", _text(float(values[i, j]))]
        return
    y = np.asarray(mark.y)
    blank = [""] * y.size
    banded = isinstance(mark, Line) and mark.low is not None
    columns = (
        _texts(spec.x, np.full(y.shape, mark.x) if isinstance(mark, Violin) else mark.x),
        _texts(spec.y, y),
        _texts(None, getattr(mark, "low", None)) if banded else blank,
        _texts(None, getattr(mark, "high", None)) if banded else blank,
        _texts(None, error) if (error := getattr(mark, "error", None)) is not None else blank,
        [text.replace("\n", " ") for text in getattr(mark, "texts", ())] or blank,
    )
    for row in zip(*columns, strict=True):
        yield [name, *row, ""]


def _texts(axis: Axis | None, values: Any) -> list[str]:
    names = axis.categories if axis is not None else None
    return [_category(names, v) if names is not None else _text(v) for v in np.asarray(values)]


def _category(names: tuple[str, ...], value: float) -> str:
    k = round(float(value)) if np.isfinite(value) else -1
    return names[k] if 0 <= k < len(names) else _text(value)


def _text(value: float) -> str:
    return f"{float(value):.{_DIGITS}g}"
