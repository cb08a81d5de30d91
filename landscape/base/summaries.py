"""Summaries of a store's results, kept in one file: a table of thousands of models opens none.

An entry counts only while its result file has the size, time of change and number that it had, and the code
that summed it up is the same to the letter. What is missing is read from the results, as if there were no
file.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import landscape
from landscape.store import Store
from landscape.store.files import Stamp, write_bytes
from landscape.store.records import record, validated
from landscape.store.within import read_text

if TYPE_CHECKING:
    from landscape.base.analysis import Analysis
    from landscape.base.metric import Metric

__all__ = ["Summaries", "Value", "code_here", "values_of"]

Value = float | int | bool | str
"""Of a metric."""
_Entry = tuple[int, int, int, dict[str, Value]]
_NAME = "metrics.json"


def values_of(summary: Iterable[Metric]) -> dict[str, Value]:
    """The metrics of a result by name, in order, as plain numbers, truth values and words."""
    return {m.name: m.value.item() if isinstance(m.value, np.generic) else m.value for m in summary}


class Summaries:
    """What is known of the results of a store, by folder and key.

    Args:
        store: The store. A file that is missing, damaged or of other code counts as empty.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, _Entry] = {}
        self._changed = False
        try:
            found = validated(dict[str, dict[str, _Entry]], read_text(store.directory / _NAME))
        except (OSError, ValueError):
            return
        self._known = found.get(code_here(), {})

    @staticmethod
    def keeps(analysis: Analysis) -> bool:
        """Whether summaries of an analysis are kept: of ours alone, since other code may change unseen."""
        return str(getattr(analysis.summary, "__module__", "")).startswith("landscape.")

    def get(self, folder: str, key: str, stamp: Stamp) -> dict[str, Value] | None:
        """The metrics of a result; ``None`` if they are not known, or those of an earlier file."""
        entry = self._known.get(f"{folder}/{key}")
        return entry[3] if entry is not None and entry[:3] == stamp else None

    def put(self, folder: str, key: str, stamp: Stamp, values: Mapping[str, Value]) -> None:
        """Take the metrics of a result, summed up by the code of this process."""
        self._known[f"{folder}/{key}"] = (*stamp, dict(values))
        self._changed = True

    def write(self) -> None:
        """Write what was taken, with what was known; entries whose result is gone are dropped.

        Raises:
            StoreError: If the store cannot be written to.
        """
        if not self._changed or not code_here():
            return
        there = {f"{p.parent.name}/{p.stem}" for p in self._store.directory.glob("*/*.h5")}
        self._known = {place: entry for place, entry in self._known.items() if place in there}
        with self._store.writing() as within:
            write_bytes(
                self._store.directory / _NAME, record({code_here(): self._known}).encode(), within=within
            )
        self._changed = False


@functools.cache
def code_here() -> str:
    """A digest over the code of the package that this process runs: that of other code may sum up otherwise.

    Empty if it is not known: the files were changed since they were imported, or there are none.
    """
    found = hashlib.sha256(np.__version__.encode())
    root = Path(landscape.__file__).parent
    paths = sorted(root.rglob("*.py"))
    imported_ns: int = vars(landscape)["_IMPORTED_NS"]  # the stub has public names alone
    for path in paths:
        status = path.stat()
        # Both, since a file that is put in its place may bring its time of change along.
        if max(status.st_mtime_ns, status.st_ctime_ns) > imported_ns:
            return ""
        found.update(f"{path.relative_to(root).as_posix()}\0".encode())
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()[:32] if paths else ""
