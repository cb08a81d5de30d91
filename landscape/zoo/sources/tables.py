"""Tables: ``csv:`` and ``parquet:``, whose columns are numbers, paths of pictures, or a text."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from landscape.errors import InputError, one_line, suggest
from landscape.zoo.sources.arrays import TARGETS

__all__ = ["columns_of", "inputs_and_targets", "labelled"]

_TEXTS = ("text", "sentence", "content", "review")


def columns_of(kind: str, file: Path) -> dict[str, list[Any]]:
    """The columns of a table by name.

    Raises:
        InputError: If it cannot be read.
    """
    where = f"{kind}:{file}"
    if not file.is_file():
        raise InputError(f"{where}: there is no such file.")
    if kind == "parquet":
        try:
            import pyarrow.parquet as parquet
        except ImportError as error:
            raise InputError(
                f"{where} needs pyarrow, which is not installed: pip install pyarrow."
            ) from error
        try:
            table: dict[str, list[Any]] = parquet.read_table(file).to_pydict()
        except Exception as error:  # whatever pyarrow raises on a damaged file
            raise InputError(f"{where} cannot be read: {one_line(error)}.") from error
        return table
    try:
        with file.open(newline="", encoding="utf-8-sig") as handle:
            rows = list(csv.reader(handle))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{where} cannot be read: {one_line(error)}.") from error
    rows = [row for row in rows if row]
    if len(rows) < 2:
        raise InputError(f"{where} holds no rows below its first line, which names the columns.")
    short = next((i for i, row in enumerate(rows) if len(row) != len(rows[0])), None)
    if short is not None:
        raise InputError(f"{where}: row {short} has {len(rows[short])} cells, the first has {len(rows[0])}.")
    return {name: [row[i] for row in rows[1:]] for i, name in enumerate(rows[0])}


def inputs_and_targets(
    columns: Mapping[str, Sequence[Any]], x: str | Sequence[str] | None, y: str | None, where: str
) -> tuple[str | list[str], str]:
    """Which columns are the inputs, one of texts or several of numbers, and which the targets.

    Raises:
        InputError: If one is not there, or there is no telling.
    """
    named = [] if x is None else [x] if isinstance(x, str) else list(x)
    for name in (*named, *([] if y is None else [y])):
        if name not in columns:
            raise InputError(f"{where} has no column '{name}'; {suggest(name, columns)}")
    target = y or next((n for n in TARGETS if n in columns), None)
    if target is None:
        raise InputError(
            f"{where} does not say which column holds the targets; name one of {', '.join(columns)}:"
            f""" --data '{where}(y="COLUMN")' ([data] kwargs = {{ y = "COLUMN" }})."""
        )
    if isinstance(x, str):
        return (x if _words(columns[x]) else [x]), target
    if named:
        return named, target
    texts = [n for n in columns if n != target and n.lower() in _TEXTS]
    if texts:
        return texts[0], target
    rest = [n for n in columns if n != target and not _words(columns[n])]
    if not rest:
        raise InputError(
            f"{where} does not say which columns are the inputs; name one of {', '.join(columns)}:"
            f""" --data '{where}(x="COLUMN")' ([data] kwargs = {{ x = "COLUMN" }})."""
        )
    return rest, target


def numbers(columns: Mapping[str, Sequence[Any]], names: Sequence[str], where: str) -> np.ndarray[Any, Any]:
    """Columns of numbers side by side, (B, D), float32.

    Raises:
        InputError: Naming the row that holds something else.
    """
    out = np.empty((len(columns[names[0]]), len(names)), np.float32)
    for i, name in enumerate(names):
        for j, value in enumerate(columns[name]):
            try:
                out[j, i] = float(value)
            except (TypeError, ValueError):
                raise InputError(
                    f"{where}: row {j + 1} of column '{name}' is no number: {str(value)[:60]!r}."
                ) from None
    return out


def labelled(
    values: Sequence[Any], classes: Sequence[str] | None, where: str
) -> tuple[np.ndarray[Any, Any], list[str]]:
    """Targets of a column: whole numbers and numbers as they are, words by the order of their names.

    Args:
        values: The column.
        classes: The classes in the order of the model's outputs, if that is another one.
        where: The file, for error messages.

    Returns:
        Targets (B,), and the names of the classes, none if they are numbers.

    Raises:
        InputError: If a word is none of the classes.

    Example:
        >>> labelled(["cat", "ant", "cat"], None, "a.csv")
        (array([1, 0, 1]), ['ant', 'cat'])
    """
    for kind in (int, float):
        try:
            found = [kind(v) for v in values]
        except (TypeError, ValueError):
            continue
        if kind is int and any(float(v) != f for v, f in zip(values, found, strict=True)):
            continue  # numbers of Python, which int() cuts
        return np.asarray(found, np.int64 if kind is int else np.float32), []
    order = list(classes) if classes else sorted({str(v) for v in values})
    places = {name: i for i, name in enumerate(order)}
    unknown = next((v for v in values if str(v) not in places), None)
    if unknown is not None:
        raise InputError(
            f"{where}: target {str(unknown)[:60]!r} is none of the classes ({', '.join(order[:5])})."
        )
    return np.asarray([places[str(v)] for v in values], np.int64), order


def _words(values: Sequence[Any]) -> bool:
    try:
        for value in values[:50]:
            float(value)
    except (TypeError, ValueError):
        return True
    return False
