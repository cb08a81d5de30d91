"""TableAnalysis: an `Analysis` whose subject is a table, one row for each cell of an experiment."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from landscape.base.analysis import Analysis, Params
from landscape.errors import InputError

__all__ = ["Columns", "TableAnalysis", "read_columns"]

Columns = dict[str, Any]
"""Columns of a table: one-dimensional arrays of one length, by name."""


def read_columns(table: Any) -> Columns:
    """The columns of a data frame, of a mapping of columns, or of a sequence of records.

    Args:
        table: A ``pandas.DataFrame``; ``{column: values}``; or records ``[{column: value}, ...]``, in
            which what a record lacks is NaN.

    Raises:
        InputError: If it is none of these, is empty, or its columns are of different lengths.
    """
    if hasattr(table, "columns") and hasattr(table, "to_numpy"):
        columns = {str(name): np.asarray(table[name]) for name in table.columns}
    elif isinstance(table, Mapping):
        columns = {str(name): np.asarray(values) for name, values in table.items()}
    else:
        columns = _of_records(table)
    shapes = {name: values.shape for name, values in columns.items()}
    lengths = set(shapes.values())
    if len(lengths) != 1 or len(next(iter(lengths))) != 1 or 0 in next(iter(lengths)):
        raise InputError(f"a table needs columns of one length, with at least one row; got {shapes}.")
    return columns


def _of_records(table: Any) -> Columns:
    records = list(table) if isinstance(table, Iterable) and not isinstance(table, str) else [table]
    if not records or not all(isinstance(record, Mapping) for record in records):
        what = type(records[0]).__name__ if records else "nothing"
        raise InputError(
            f"a table is a DataFrame, a mapping {{column: values}} or a list of records; got {what}."
        )
    names = dict.fromkeys(str(name) for record in records for name in record)
    return {name: np.array([record.get(name, np.nan) for record in records]) for name in names}


@dataclass(frozen=True)
class TableAnalysis(Analysis):
    """An analysis that is called as ``landscape.NAME(table, ...)``; its ``compute`` takes `Columns`."""

    def provenance(
        self, subject: Columns, params: Params, inputs: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The attributes that say where a result comes from: options, and a content hash of the table."""
        from landscape.core.problem.fingerprint import library_versions

        digest = hashlib.sha256()
        for name in sorted(subject):
            digest.update(json.dumps([name, subject[name].tolist()], default=str).encode())
        attrs: dict[str, Any] = {
            "analysis": self.name,
            "title": self.title,
            "schema_version": self.schema.version,
            "parameters": params.model_dump_json(),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": json.dumps(library_versions()),
            "table_sha256": digest.hexdigest(),
        }
        if hasattr(params, "seed"):
            attrs["seed"] = int(params.seed)
        return attrs

    def _subject(self, given: tuple[Any, ...]) -> Columns:
        if len(given) != 1:
            raise InputError(f"landscape.{self.name} takes one table; got {len(given)} arguments.")
        return read_columns(given[0])

    def _signature(self) -> inspect.Signature:
        table = inspect.Parameter("table", inspect.Parameter.POSITIONAL_ONLY)
        options = list(super()._signature().parameters.values())[1:]
        return inspect.Signature([table, *options])
