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
from landscape.store.digest import seal_of
from landscape.store.files import stamp_of, write_bytes
from landscape.store.records import record, validated
from landscape.store.store import Store
from landscape.store.within import read_text

__all__ = ["Held", "State", "places_in", "state_of"]

State = tuple[str, int, int, int, str]
"""Of a group: the result file, its size, time of change and number, and a digest of what the zoo says of
it."""

_NAME = "held.json"
_FORM = 1  # goes up when groups are made otherwise: those of before do not stay then


def state_of(entry: Located) -> State:
    """What decides the group of an entry.

    Raises:
        FileNotFoundError: If its file is gone.
    """
    said = hashlib.sha256(json.dumps(entry.attrs, sort_keys=True).encode()).hexdigest()[:16]
    name = f"{entry.path.parent.name}/{entry.path.name}"
    return name, *stamp_of(entry.path), said


@dataclass
class Held:
    """The groups of a consolidated file.

    Attributes:
        groups: Their states by place, ``label/subject``.
        number: The next number that no dimension of the file has.
        made: How many groups were ever written to it, those that were dropped among them.
        file: The digest behind the file. Size and time would also fit a file that another run put in its
            place before this was written down.
    """

    groups: dict[str, State] = field(default_factory=dict)
    number: int = 0
    made: int = 0
    file: str = ""

    @classmethod
    def of(cls, store: Store) -> Held:
        """What is remembered of the file of a store; nothing if that is another file by now."""
        with contextlib.suppress(OSError, ValueError):
            known = validated(_Record, read_text(store.directory / _NAME))
            if known.form == _FORM and known.file and known.file == seal_of(store.consolidated):
                return cls(known.groups, known.number, known.made, known.file)
        return cls()

    def drop(self, target: Any, place: str) -> None:
        """Take a group out of an open file, if it is there."""
        if self.groups.pop(place, None) is not None and place in target:
            del target[place]
            label = place.partition("/")[0]
            if label in target and not len(target[label]):  # a file made anew has no empty sections
                del target[label]

    def remember(self, store: Store, within: Path | None) -> None:
        """Write it beside the file; without it the next time makes the file anew."""
        with contextlib.suppress(StoreError, OSError):
            text = record(asdict(_Record(_FORM, self.file, self.number, self.made, self.groups)))
            write_bytes(store.directory / _NAME, text.encode(), within=within)


def places_in(path: Path) -> set[str]:
    """The groups of a consolidated file, ``label/subject``.

    Raises:
        OSError: If it cannot be read.
        ValueError: If something in it is no such group but a link, which would be written through.
    """
    import h5py
    from h5py import h5g, h5i, h5l, h5o

    found = set()
    with h5py.File(path, "r", locking=False) as file:
        top = h5g.open(file.id, b"/")
        for label in top:
            section = h5o.open(top, label) if top.links.get_info(label).type == h5l.TYPE_HARD else None
            if section is None or h5i.get_type(section) != h5i.GROUP:
                raise ValueError(f"'{path}' was not made here")
            for subject in section:
                if section.links.get_info(subject).type != h5l.TYPE_HARD:
                    raise ValueError(f"'{path}' was not made here")
                found.add(f"{label.decode()}/{subject.decode()}")
    return found


@dataclass(frozen=True)
class _Record:
    """What is written: how groups are made, the file's digest, and what is in it."""

    form: int
    file: str
    number: int
    made: int
    groups: dict[str, State]
