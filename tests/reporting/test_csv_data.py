"""The CSV of a figure: every number once, read back by Python's own reader."""

from __future__ import annotations

import csv
import io

import numpy as np

from landscape.base.figure import (
    Axis,
    Bars,
    ColorAxis,
    FigureSpec,
    Guide,
    Heatmap,
    Line,
    Points,
    Series,
    Violin,
)
from landscape.reporting.csv_data import csv_of


def read(*marks: object, x: Axis | None = None, y: Axis | None = None) -> list[list[str]]:
    spec = FigureSpec("f", "A figure", x or Axis("t", "s"), y or Axis("loss", "nat"), tuple(marks))
    return list(csv.reader(io.StringIO(csv_of(spec))))


def test_lines_and_bars_with_their_errors() -> None:
    """Oracle: every number given to the figure, row by row; guides are no data."""
    rows = read(
        Line([0, 1], [2, np.nan], Series("a"), low=[1, 1], high=[3, 3]),
        Bars([0], [5], Series("b", label="b, test"), error=[0.5]),
        Guide(x=0),
    )
    assert rows == [
        ["series", "t (s)", "loss (nat)", "low", "high", "error"],
        ["a", "0", "2", "1", "3", ""],
        ["a", "1", "nan", "1", "3", ""],
        ["b, test", "0", "5", "", "", "0.5"],
    ]


def test_categories_are_named_and_odd_names_survive() -> None:
    """Oracle: the names of the axis at their positions, with commas, quotes and line ends."""
    axis = Axis("kind", categories=('one, "1"', "two"))
    rows = read(Points([1, 0], [5, 6], texts=("a\nb", "c")), x=axis)
    assert rows[1:] == [["two", "5", "a b"], ['one, "1"', "6", "c"]]


def test_fields_give_a_row_per_cell() -> None:
    """Oracle: the field itself, indexed by hand."""
    z = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    rows = read(Heatmap([0, 1], [7, 8, 9], z, ColorAxis("CKA")))
    assert rows[0] == ["t (s)", "loss (nat)", "CKA"]
    assert rows[1:] == [[str(j), str(7 + i), f"{z[i, j]:g}"] for i in range(3) for j in range(2)]


def test_violins_give_the_values_they_stand_for() -> None:
    """Oracle: the values themselves."""
    rows = read(Violin(2.0, [0.25, 0.5], Series("m")))
    assert rows[1:] == [["m", "2", "0.25"], ["m", "2", "0.5"]]
