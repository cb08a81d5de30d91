"""Tables of the report: cells that show a number shortly and sort by its full value."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from landscape.figure import Bars, FigureSpec, Heatmap, Line, Points, Stems, Violin
from landscape.plot.scales import number

__all__ = ["Cell", "Column", "Row", "Table", "cell", "data_table"]

MOST_ROWS = 240
"""Rows of a figure's data table; longer data are thinned, and the caption says so."""

LARGEST_FIELD = 14
"""Fields of up to this many rows and columns are shown as a matrix."""


@dataclass(frozen=True)
class Cell:
    """One value.

    Attributes:
        text: What is shown.
        sort: What the table sorts by: a number where there is one, ``""`` if the value is missing.
        full: What a reader sees on pointing at it, if the text is shortened.
        numeric: Whether it is set flush right.
    """

    text: str
    sort: float | str = ""
    full: str = ""
    numeric: bool = False


@dataclass(frozen=True)
class Column:
    """The head of a column.

    Attributes:
        label: Its name.
        unit: Its unit; ``""`` or ``"1"`` for none.
        meaning: One phrase for the tooltip.
        family: What it belongs to (a section, the tags): spanned in the row above.
        anchor: Where the family's name links to.
    """

    label: str
    unit: str = ""
    meaning: str = ""
    family: str = ""
    anchor: str = ""

    @property
    def title(self) -> str:
        """The label with its unit."""
        return self.label if self.unit in ("", "1") else f"{self.label} ({self.unit})"


@dataclass(frozen=True)
class Row:
    """A row: its head (a model, a pair), the colour of its marks, and one cell per column."""

    head: str
    cells: tuple[Cell, ...]
    color: str = ""


@dataclass(frozen=True)
class Table:
    """A table with a caption; ``head`` names the first column."""

    caption: str
    head: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    @property
    def numeric(self) -> list[bool]:
        """Whether each column holds numbers, and is set flush right."""
        return [any(r.cells[i].numeric for r in self.rows) for i in range(len(self.columns))]

    @property
    def families(self) -> list[tuple[str, str, int]]:
        """Name, anchor and width of each stretch of columns of one family."""
        out: list[tuple[str, str, int]] = []
        for column in self.columns:
            if out and out[-1][:2] == (column.family, column.anchor):
                out[-1] = (*out[-1][:2], out[-1][2] + 1)
            else:
                out.append((column.family, column.anchor, 1))
        return out


def cell(value: Any) -> Cell:
    """A value as a table shows it: numbers to four digits, NaN as NaN, nothing as a dash."""
    if value is None or value == "":
        return Cell("–")
    if isinstance(value, bool | np.bool_):
        return Cell("yes" if value else "no", float(value))
    if isinstance(value, int | np.integer):
        return Cell(str(int(value)).replace("-", "−"), float(value), numeric=True)
    if isinstance(value, float | np.floating):
        finite = math.isfinite(value)
        return Cell(number(float(value)), float(value) if finite else "", repr(float(value)), True)
    return Cell(str(value), str(value))


def data_table(spec: FigureSpec) -> Table:
    """The data of a figure, for readers who cannot or do not want to read them off the picture."""
    fields = [m for m in spec.marks if isinstance(m, Heatmap)]
    if len(fields) == 1 and max(np.asarray(fields[0].z).shape) <= LARGEST_FIELD:
        return _matrix(spec, fields[0])
    marks = [_single(m) for m in spec.marks if isinstance(m, Line | Points | Stems | Bars | Violin)]
    total = sum(np.asarray(m.x).size for m in marks)
    stride = max(1, math.ceil(total / MOST_ROWS))
    extra = _extra(marks)
    rows = [row for mark in marks for row in _rows(spec, mark, stride, extra)]
    note = f" Every {_ordinal(stride)} row of {total} is shown; all are in the store." if stride > 1 else ""
    fields_note = "".join(
        f" The field of {z.shape[0]} × {z.shape[1]} values is in the store."
        for z in (np.asarray(f.z) for f in fields)
    )
    columns = (Column(spec.x.title), Column(spec.y.title), *(Column(label) for label in extra.values()))
    return Table(f"Data of “{spec.title}”.{note}{fields_note}", "series", columns, tuple(rows))


def _single(mark: Line | Points | Stems | Bars | Violin) -> Line | Points | Stems | Bars:
    """A violin as the points that it stands for; other marks as they are."""
    if isinstance(mark, Violin):
        y = np.asarray(mark.y)
        return Points(np.full(y.shape, mark.x), y, mark.series)
    return mark


def _matrix(spec: FigureSpec, field: Heatmap) -> Table:
    x, y, z = (np.asarray(a) for a in (field.x, field.y, field.z))
    names_x, names_y = _names(spec.x.categories, x), _names(spec.y.categories, y)
    rows = tuple(
        Row(name, tuple(cell(float(v)) for v in values)) for name, values in zip(names_y, z, strict=True)
    )
    head = f"{spec.y.title} \\ {spec.x.title}"
    return Table(f"{field.color.title} of “{spec.title}”.", head, tuple(map(Column, names_x)), rows)


def _extra(marks: Iterable[Line | Points | Stems | Bars]) -> dict[str, str]:
    """Further columns: ends of bands and errors, if any mark has them."""
    found: dict[str, str] = {}
    for mark in marks:
        if isinstance(mark, Line):
            if mark.low is not None:
                found |= {"low": "band, low", "high": "band, high"}
        elif mark.error is not None:
            found["error"] = "error (±)"
    return found


def _rows(
    spec: FigureSpec, mark: Line | Points | Stems | Bars, stride: int, extra: dict[str, str]
) -> list[Row]:
    x, y = np.asarray(mark.x), np.asarray(mark.y)
    more = [getattr(mark, name, None) for name in extra]
    names = _names(spec.x.categories, x) if spec.x.categories else None
    rows = []
    for i in range(0, x.size, stride):
        at = Cell(names[i], names[i]) if names else cell(float(x[i]))
        rest = [Cell("–") if a is None else cell(float(np.asarray(a)[i])) for a in more]
        rows.append(Row(mark.series.name or "–", (at, cell(float(y[i])), *rest)))
    return rows


def _names(categories: Sequence[str] | None, positions: Any) -> list[str]:
    names = []
    for value in np.asarray(positions):
        k = round(float(value)) if np.isfinite(value) else -1
        known = categories is not None and 0 <= k < len(categories)
        names.append(categories[k] if categories is not None and known else number(float(value)))
    return names


def _ordinal(n: int) -> str:
    return {2: "2nd", 3: "3rd"}.get(n, f"{n}th")
