"""Tables of the report: cells that show a number shortly and sort by its full value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from landscape.plotting.scales import number, with_error

__all__ = ["Cell", "Column", "Row", "Table", "cell"]


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
    """

    label: str
    unit: str = ""
    meaning: str = ""
    family: str = ""

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
    """A table.

    Attributes:
        caption: What it shows.
        head: Name of the first column.
        columns: The others.
        rows: One cell for each column.
        first: Indices of the columns to show first, most telling first, where there is no room for all.
    """

    caption: str
    head: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    first: tuple[int, ...] = ()

    @property
    def numeric(self) -> list[bool]:
        """Whether each column holds numbers, and is set flush right."""
        return [any(r.cells[i].numeric for r in self.rows) for i in range(len(self.columns))]

    def plain(self) -> dict[str, Any]:
        """The table as the page's script takes it: texts, and numbers to sort by where they differ."""
        return {
            "caption": self.caption,
            "head": self.head,
            "first": list(self.first),
            "columns": [
                {"title": c.title, "meaning": c.meaning, "family": c.family, "numeric": n}
                for c, n in zip(self.columns, self.numeric, strict=True)
            ],
            "rows": [
                {"head": r.head, "color": r.color, "cells": [_plain(c) for c in r.cells]} for r in self.rows
            ],
        }


def _plain(shown: Cell) -> Any:
    """A text that sorts by itself, ``[text, number]``, or ``[text]`` for what sorts last."""
    if shown.sort == "":
        return [shown.text]
    return shown.text if shown.sort == shown.text else [shown.text, shown.sort]


def cell(value: Any, error: float = math.nan) -> Cell:
    """A value as a table shows it: numbers to four digits, NaN as NaN, nothing as a dash.

    Args:
        value: The value.
        error: Half the width of its 95 % interval, NaN if none is known; the value has as many digits as it
            leaves.

    Example:
        >>> cell(0.91234, 0.0212).text, cell(71.53, 12.0).text, cell(0.5).text
        ('0.912 ± 0.021', '72 ± 12', '0.5')
    """
    if value is None or value == "":
        return Cell("–")
    if isinstance(value, bool | np.bool_):
        return Cell("yes" if value else "no", float(value))
    if isinstance(value, int | np.integer):
        return Cell(str(int(value)).replace("-", "−"), float(value), numeric=True)
    if isinstance(value, float | np.floating):
        finite = math.isfinite(value)
        if finite and math.isfinite(error) and error > 0:
            said = f"95 % interval: {number(float(value) - error)} to {number(float(value) + error)}"
            return Cell(with_error(float(value), error), float(value), said, True)
        return Cell(number(float(value)), float(value) if finite else "", repr(float(value)), True)
    return Cell(str(value), str(value))
