"""Tables: the subject of an analysis of scope ``table``, one row for each cell of an experiment."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from landscape.errors import InputError

__all__ = ["OUTCOMES", "Columns", "read_columns", "table_sha256"]

OUTCOMES = ("test_accuracy", "test_acc", "val_accuracy", "val_acc", "accuracy", "accuracy of the mean")
"""Names of what one wants to explain, unless told otherwise; the first that is known counts."""

Columns = dict[str, Any]
"""Columns of a table: one-dimensional arrays of one length, by name."""


def read_columns(table: Any) -> Columns:
    """The columns of a data frame, of a mapping of columns, or of a sequence of records.

    Args:
        table: A ``pandas.DataFrame``, in which the column ``(a, b)`` is called ``"a: b"``; ``{column:
            values}``; or records ``[{column: value}, ...]``, in which what a record lacks is NaN.

    Raises:
        InputError: If it is none of these, is empty, or its columns are of different lengths.
    """
    if hasattr(table, "columns") and hasattr(table, "to_numpy"):
        columns = {_called(name): np.asarray(table[name]) for name in table.columns}
    elif isinstance(table, Mapping):
        columns = {str(name): np.asarray(values) for name, values in table.items()}
    else:
        columns = _of_records(table)
    shapes = {name: values.shape for name, values in columns.items()}
    lengths = set(shapes.values())
    if len(lengths) != 1 or len(next(iter(lengths))) != 1 or 0 in next(iter(lengths)):
        raise InputError(f"a table needs columns of one length, with at least one row; got {shapes}.")
    return columns


def _called(name: Any) -> str:
    return ": ".join(map(str, name)) if isinstance(name, tuple) else str(name)


def _of_records(table: Any) -> Columns:
    records = list(table) if isinstance(table, Iterable) and not isinstance(table, str) else [table]
    if not records or not all(isinstance(record, Mapping) for record in records):
        what = type(records[0]).__name__ if records else "nothing"
        raise InputError(
            f"a table is a DataFrame, a mapping {{column: values}} or a list of records; got {what}."
        )
    names = dict.fromkeys(str(name) for record in records for name in record)
    return {name: np.array([record.get(name, np.nan) for record in records]) for name in names}


def table_sha256(table: Columns) -> str:
    """Content hash of a table; the order of its columns does not matter, that of its rows does.

    Example:
        >>> one = read_columns({"load": [1, 2], "cka": [0.5, 0.9]})
        >>> table_sha256(one) == table_sha256(dict(reversed(one.items())))
        True
    """
    digest = hashlib.sha256()
    for name in sorted(table):
        digest.update(json.dumps([name, table[name].tolist()], default=str).encode())
    return digest.hexdigest()
