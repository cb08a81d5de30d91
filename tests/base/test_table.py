"""Tables: columns from every container, and their content hash."""

from __future__ import annotations

import numpy as np
import pytest

from landscape.base.table import read_columns, table_sha256
from landscape.errors import InputError

COLUMNS = {"load": np.array([1.0, 2.0, 4.0]), "phase": np.array(["I", "II", ""])}


def test_every_container_gives_the_same_columns():
    """Oracle: the columns by hand; records that lack a value have NaN there."""
    pandas = pytest.importorskip("pandas")
    records = [{"load": 1.0, "phase": "I"}, {"load": 2.0, "phase": "II"}, {"load": 4.0, "phase": ""}]
    for table in (COLUMNS, {k: v.tolist() for k, v in COLUMNS.items()}, records, pandas.DataFrame(COLUMNS)):
        found = read_columns(table)
        assert list(found) == list(COLUMNS)
        assert all((found[name] == values).all() for name, values in COLUMNS.items())
    sparse = read_columns([{"a": 1.0}, {"a": 2.0, "b": 3.0}])
    assert np.isnan(sparse["b"][0]) and sparse["b"][1] == 3.0


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({}, "with at least one row"),
        ({"a": []}, "with at least one row"),
        ({"a": [1, 2], "b": [1]}, "columns of one length"),
        ({"a": [[1, 2], [3, 4]]}, "columns of one length"),
        ([], "a list of records; got nothing"),
        ([1, 2], "a list of records; got int"),
        ("file.csv", "a list of records; got str"),
        (3, "a list of records; got int"),
    ],
)
def test_what_is_no_table_is_refused(table, words):
    """Oracle: the sentence says what a table is."""
    with pytest.raises(InputError, match=words):
        read_columns(table)


def test_the_hash_is_of_contents():
    """Oracle: equal for the same columns in another order; any other value or name is another hash."""
    first = table_sha256(COLUMNS)
    assert table_sha256(dict(reversed(COLUMNS.items()))) == first
    others = [
        {**COLUMNS, "load": np.array([1.0, 2.0, 4.0000001])},
        {"loads": COLUMNS["load"], "phase": COLUMNS["phase"]},
        {name: values[::-1] for name, values in COLUMNS.items()},
        {"load": COLUMNS["load"]},
    ]
    assert len({first, *map(table_sha256, others)}) == 5
