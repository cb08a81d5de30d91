"""What a consolidated file holds, remembered beside it: new results are added to it, and the rest stays."""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from landscape.errors import StoreError
from landscape.store.contents import Located
from landscape.store.files import write_bytes
from landscape.store.records import record, validated
from landscape.store.store import Store
from landscape.store.within import read_text

__all__ = ["Held", "State", "state_of"]

State = tuple[str, int, int, str]
"""Of a group: the result file, its size and time of change, and a digest of what the zoo says of it."""

_NAME = "held.json"


def state_of(entry: Located) -> State:
    """What decides the group of an entry.

    Raises:
        FileNotFoundError: If its file is gone.
    """
    status = entry.path.stat()
    said = hashlib.sha256(json.dumps(entry.attrs, sort_keys=True).encode()).hexdigest()[:16]
    return f"{entry.path.parent.name}/{entry.path.name}", status.st_size, status.st_mtime_ns, said


@dataclass
class Held:
    """The groups of a consolidated file.

    Attributes:
        groups: Their states by place, ``label/subject``.
        number: The next number that no dimension of the file has.
        made: How many groups were ever written to it, those that were dropped among them.
    """

    groups: dict[str, State] = field(default_factory=dict)
    number: int = 0
    made: int = 0

    @classmethod
    def of(cls, store: Store) -> Held:
        """What is remembered of the file of a store; nothing if it is not the file that was written."""
        with contextlib.suppress(OSError, ValueError):
            known = validated(_Record, read_text(store.directory / _NAME))
            if known.file == _stamp(store.consolidated):
                return cls(known.groups, known.number, known.made)
        return cls()

    def drop(self, target: Any, place: str) -> None:
        """Take a group out of an open file, if it is there."""
        if self.groups.pop(place, None) is not None and place in target:
            del target[place]

    def remember(self, store: Store, within: Path | None) -> None:
        """Write it beside the file; without it the next time makes the file anew."""
        with contextlib.suppress(StoreError, OSError):
            text = record(asdict(_Record(_stamp(store.consolidated), self.number, self.made, self.groups)))
            write_bytes(store.directory / _NAME, text.encode(), within=within)


@dataclass(frozen=True)
class _Record:
    """What is written: the file's size and time of change, and what is in it."""

    file: tuple[int, int]
    number: int
    made: int
    groups: dict[str, State]


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
