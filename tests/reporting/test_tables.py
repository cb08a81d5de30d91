"""Tables: what a cell shows and what it sorts by."""

from __future__ import annotations

import math

import numpy as np
import pytest

from landscape.reporting.tables import Cell, Column, Row, Table, cell


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


def test_plain_tables_sort_by_full_numbers_and_miss_what_is_missing() -> None:
    """Oracle: the JSON written out by hand."""
    columns = (Column("a", "s", "age"), Column("b", family="x"))
    rows = (Row("r", (cell(0.123456), cell("u")), "#fff"), Row("q", (cell(None), cell(float("nan")))))
    plain = Table("c", "m", columns, rows, (1,)).plain()
    assert plain == {
        "caption": "c",
        "head": "m",
        "first": [1],
        "columns": [
            {"title": "a (s)", "meaning": "age", "family": "", "numeric": True},
            {"title": "b", "meaning": "", "family": "x", "numeric": True},
        ],
        "rows": [
            {"head": "r", "color": "#fff", "cells": [["0.1235", 0.123456], "u"]},
            {"head": "q", "color": "", "cells": [["–"], ["NaN"]]},
        ],
    }


def test_a_number_stands_with_its_interval() -> None:
    """Oracle: digits by hand: two of the error and as many of the value; it sorts by the value alone."""
    shown = cell(0.91234, 0.0212)
    assert (shown.text, shown.sort) == ("0.912 ± 0.021", 0.91234)
    assert shown.full == "95 % interval: 0.8911 to 0.9335"
    assert cell(0.91234, float("nan")).text == "0.9123" == cell(0.91234, 0.0).text
    assert cell(float("nan"), 0.1).text == "NaN"
