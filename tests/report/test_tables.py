"""Tables: what a cell shows, what it sorts by, and the data of figures."""

from __future__ import annotations

import math

import numpy as np
import pytest

from landscape.figure import Axis, Bars, ColorAxis, FigureSpec, Guide, Heatmap, Line, Series
from landscape.report.tables import MOST_ROWS, Cell, Column, Row, Table, cell, data_table


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, Cell("–")),
        ("", Cell("–")),
        (True, Cell("yes", 1.0)),
        (np.bool_(False), Cell("no", 0.0)),
        (-3, Cell("−3", -3.0, numeric=True)),
        (np.int64(7), Cell("7", 7.0, numeric=True)),
        (0.123456, Cell("0.1235", 0.123456, "0.123456", True)),
        (math.inf, Cell("∞", "", "inf", True)),
        ("text", Cell("text", "text")),
    ],
)
def test_cells_by_hand(value: object, expected: Cell) -> None:
    """Oracle: written out by hand; the sort key keeps full precision."""
    assert cell(value) == expected


def test_nan_is_shown_and_sorts_as_missing() -> None:
    """Oracle: NaN stays NaN for the reader, and must not be compared."""
    shown = cell(float("nan"))
    assert shown.text == "NaN" and shown.sort == ""


def spec_of(*marks: object, x: Axis | None = None) -> FigureSpec:
    return FigureSpec("f", "A figure", x or Axis("t", "s"), Axis("loss", "nat"), tuple(marks))


def test_data_of_lines_and_bars_with_their_errors() -> None:
    """Oracle: every number given to the figure, row by row; guides are no data."""
    table = data_table(
        spec_of(
            Line([0, 1], [2, np.nan], Series("a"), low=[1, 1], high=[3, 3]),
            Bars([0], [5], Series("b", label="b, test"), error=[0.5]),
            Guide(x=0),
        )
    )
    titles = [c.title for c in table.columns]
    assert titles == ["t (s)", "loss (nat)", "band, low", "band, high", "error (±)"]
    shown = [(r.head, *(c.text for c in r.cells)) for r in table.rows]
    assert shown == [
        ("a", "0", "2", "1", "3", "–"),
        ("a", "1", "NaN", "1", "3", "–"),
        ("b, test", "0", "5", "–", "–", "0.5"),
    ]


def test_categories_are_named() -> None:
    """Oracle: the names of the axis at their positions."""
    table = data_table(spec_of(Bars([1, 0], [5, 6]), x=Axis("kind", categories=("one", "two"))))
    assert [r.cells[0].text for r in table.rows] == ["two", "one"]


def test_long_data_are_thinned_and_the_caption_says_so() -> None:
    """Oracle: the bound on the rows, and the sentence with the true number."""
    table = data_table(spec_of(*(Line(np.arange(500), np.arange(500), Series(m)) for m in "ab")))
    assert len(table.rows) <= MOST_ROWS + 2
    assert "Every 5th row of 1000" in table.caption
    assert {r.head for r in table.rows} == {"a", "b"}


def test_small_fields_become_a_matrix_and_large_ones_a_remark() -> None:
    """Oracle: the matrix given; the size of the field that is too large."""
    z = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    table = data_table(spec_of(Heatmap([0, 1], [7, 8, 9], z, ColorAxis("CKA"))))
    assert [[c.text for c in r.cells] for r in table.rows] == [["1", "2"], ["3", "4"], ["5", "6"]]
    assert [r.head for r in table.rows] == ["7", "8", "9"]
    large = data_table(spec_of(Heatmap(range(40), range(50), np.zeros((50, 40)), ColorAxis("z"))))
    assert not large.rows and "50 × 40" in large.caption


def test_families_span_their_columns() -> None:
    """Oracle: runs of equal families, counted by hand."""
    columns = (Column("a"), Column("b", family="x", anchor="p"), Column("c", family="x", anchor="p"))
    table = Table("", "m", columns, (Row("r", (Cell("1", numeric=True), Cell("u"), Cell("v"))),))
    assert table.families == [("", "", 1), ("x", "p", 2)]
    assert table.numeric == [True, False, False]
