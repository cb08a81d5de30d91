"""Tables: columns by name, numbers and words."""

from __future__ import annotations

import numpy as np
import pytest

from landscape.errors import InputError
from landscape.zoo.sources.tables import columns_of, inputs_and_targets, labelled, numbers


@pytest.fixture
def table(tmp_path):
    file = tmp_path / "pets.csv"
    file.write_text("weight,height,label\n4,25,cat\n30.5,60,dog\n\n3,24,cat\n")
    return file


def test_csv(table):
    columns = columns_of("csv", table)
    assert columns["weight"] == ["4", "30.5", "3"]
    assert inputs_and_targets(columns, None, None, "a") == (["weight", "height"], "label")
    np.testing.assert_array_equal(numbers(columns, ["weight", "height"], "a")[1], [30.5, 60])
    assert inputs_and_targets(columns, "height", None, "a") == (["height"], "label")


def test_parquet_is_as_csv(table):
    """Oracle: the same table, read as text."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    columns = columns_of("csv", table)
    parquet.write_table(pa.table(columns), table.with_suffix(".parquet"))
    assert columns_of("parquet", table.with_suffix(".parquet")) == columns


def test_a_text_is_found():
    columns = {"id": ["1"], "text": ["a b"], "label": ["0"]}
    assert inputs_and_targets(columns, None, None, "a") == ("text", "label")


@pytest.mark.parametrize(
    ("columns", "x", "y", "said"),
    [
        ({"a": ["1"], "b": ["2"]}, None, None, "which column holds the targets"),
        ({"a": ["x"], "b": ["2"]}, None, "b", "which columns are the inputs"),
        ({"a": ["1"], "b": ["2"]}, "c", "b", "no column 'c'"),
    ],
)
def test_what_is_not_said_is_asked_for(columns, x, y, said):
    with pytest.raises(InputError, match=said):
        inputs_and_targets(columns, x, y, "csv:a.csv")


def test_targets():
    values, names = labelled(["1", "0"], None, "a")
    assert (values.tolist(), values.dtype, names) == ([1, 0], np.int64, [])
    values, names = labelled(["0.5", "1"], None, "a")
    assert (values.tolist(), values.dtype, names) == ([0.5, 1.0], np.float32, [])
    assert labelled(["b", "a"], ["b", "a"], "a")[0].tolist() == [0, 1]
    with pytest.raises(InputError, match=r"'c' is none of the classes"):
        labelled(["c"], ["a"], "a")


@pytest.mark.parametrize("text", ["", "a,b\n", "a,b\n1,2\n1\n"])
def test_tables_that_are_none(tmp_path, text):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=r"holds no rows|has 1 cells"):
        columns_of("csv", tmp_path / "a.csv")
