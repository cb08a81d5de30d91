"""A store is read within itself: nothing in it may lead to another file, and none is larger than it is.

Stores travel. A data set that keeps its numbers in another file, a link, a folder named ``../..``: each would
bring a file of the reader's machine into a report.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from landscape.errors import StoreError
from landscape.text import foreign

if TYPE_CHECKING:
    import h5py
    from h5py import h5l

__all__ = [
    "Item",
    "check_group",
    "check_name",
    "check_place",
    "numbers_at",
    "open_all",
    "read_numbers",
    "read_text",
]

_SPARE = 100_000_000
_LARGEST_TEXT = 500_000_000
_DEEPEST = 8


def check_place(path: Path, store: Path) -> None:
    """Raise if a file of a store lies elsewhere: it, or its folder, is a link.

    Raises:
        StoreError: Naming the file.
    """
    try:
        inside = path.resolve().is_relative_to(store.resolve())
    except (OSError, RuntimeError, ValueError):  # links that lead in a circle, a name with a NUL
        inside = False
    if not inside:
        raise StoreError(f"'{foreign(path)}' leads out of the store '{foreign(store)}'; it is not read.")


def check_name(name: str, where: Path) -> None:
    """Raise if a name in a store's records is no name of a file or folder within it.

    Raises:
        StoreError: Naming the file that says so.
    """
    if not name or name in (".", "..") or "/" in name or "\\" in name or not name.isprintable():
        raise StoreError(
            f"'{foreign(where)}' names '{foreign(name, 80)}', which is no file or folder of it; it is not"
            " read."
        )


def read_text(path: Path) -> str:
    """The text of a record of a store: a regular file, and no endless one.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is no such file, or no text.
    """
    if not path.is_file() or path.stat().st_size > _LARGEST_TEXT:
        raise ValueError(f"'{path}' is no record of a store.")
    return path.read_bytes().decode()  # as it is: text mode would write other line breaks over


def check_group(file: h5py.File, path: Path, group: str = "/", depth: int = 1) -> None:
    """Raise if a group of an HDF5 file leads to other files, or declares more than the file could hold.

    Args:
        file: The open file.
        path: Where it is.
        group: The group, looked at with what is right below it.
        depth: How many levels of groups below it to look at.

    Raises:
        StoreError: Naming the file and the data set.
    """
    import h5py

    place = file["/"]
    for part in (p for p in group.split("/") if p):
        _check_link(place, part, path)
        place = place[part]
    size = path.stat().st_size
    for holder, name in _members(place, path, min(depth, _DEEPEST)):
        item = holder[name]
        if isinstance(item, h5py.Dataset):
            shown, data = f"{holder.name.rstrip('/')}/{name}", item.id
            _check_data(data, shown, path, size, data.shape, data.get_type().get_size())


def _members(group: Any, path: Path, depth: int) -> Iterator[tuple[Any, str]]:
    import h5py

    if not isinstance(group, h5py.Group):
        return
    for name in group:
        _check_link(group, name, path)
        yield group, name
        if depth > 1:
            yield from _members(group[name], path, depth - 1)


def _check_link(group: Any, name: str, path: Path) -> None:
    import h5py

    link = group.get(name, getlink=True)
    if link is not None and not isinstance(link, h5py.HardLink):
        raise _is_link(name, path)


def _is_link(name: str, path: Path) -> StoreError:
    return StoreError(f"'{foreign(path)}': '{foreign(name, 80)}' is a link to another place; it is not read.")


class Item(NamedTuple):
    """An open data set: its handle, sizes and type, and where in the file its numbers stand in a row."""

    data: h5py.h5d.DatasetID
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int | None


def open_all(group: h5py.h5g.GroupID, path: Path, size: int) -> dict[bytes, Item | None]:
    """The data sets right below a group, checked as `check_group` does, and quicker.

    Args:
        group: Where they are.
        path: Of the file.
        size: The file's, in bytes.

    Returns:
        By name, in the group's order; ``None`` for what is no data set.

    Raises:
        StoreError: Naming the file and the data set.
    """
    from h5py import h5d, h5l, h5o

    kinds: dict[bytes, int] = {}

    def note(name: bytes, link: h5l.LinkInfo) -> None:
        kinds[name] = link.type

    group.links.iterate(note, info=True)
    found: dict[bytes, Item | None] = {}
    for name in group:
        if kinds[name] != h5l.TYPE_HARD:
            raise _is_link(name.decode("utf-8", "replace"), path)
        data = h5o.open(group, name)
        if not isinstance(data, h5d.DatasetID):
            found[name] = None
            continue
        shape, dtype = data.shape, data.dtype
        shown = f"/{name.decode('utf-8', 'replace')}"
        found[name] = Item(data, shape, dtype, _check_data(data, shown, path, size, shape, dtype.itemsize))
    return found


def numbers_at(item: Item, data: bytes | None) -> NDArray[Any]:
    """All numbers of a data set: a copy of the file's bytes, if they are at hand, or what HDF5 reads."""
    if data is None:
        return read_numbers(item.data)
    count, size = math.prod(item.shape), item.dtype.itemsize
    there = item.offset is not None and item.offset + count * size <= len(data)
    if not there or item.data.get_storage_size() != count * size:
        return read_numbers(item.data)
    values: NDArray[Any] = np.frombuffer(data, item.dtype, count, item.offset or 0)
    return values.reshape(item.shape).copy()


def read_numbers(item: h5py.h5d.DatasetID) -> NDArray[Any]:
    """All numbers of a data set, without the detours of h5py's general way."""
    from h5py import h5s

    # Zeros: of what was never written HDF5 may write nothing either, and what lay in memory is no result.
    values = np.zeros(item.shape, item.dtype)
    item.read(h5s.ALL, h5s.ALL, values)
    return values


def _check_data(
    item: h5py.h5d.DatasetID,
    name: str,
    path: Path,
    size: int,
    shape: tuple[int, ...] | None,
    width: int,
) -> int | None:
    """Raise if the numbers of a data set lie elsewhere, or are more than a file of this size could hold.

    Args:
        item: The data set.
        name: Where it is.
        path: Of the file.
        size: The file's, in bytes.
        shape: The data set's.
        width: Bytes of one of its numbers.

    Returns:
        Where in the file they stand in a row; ``None`` if they do not.

    Raises:
        StoreError: Naming the file and the data set.
    """
    from h5py import h5d

    # Only numbers that stand in a row in this very file have a place in it.
    offset: int | None = item.get_offset()
    if offset is None:
        made = item.get_create_plist()
        if made.get_external_count() or made.get_layout() == h5d.VIRTUAL:
            raise StoreError(
                f"'{foreign(path)}': the numbers of '{foreign(name, 80)}' are in another file; it is not"
                " read."
            )
    # A data set that was never written, or is compressed, may be of any size.
    count = math.prod(shape or ())  # HDF5's own count wraps around at 2^64
    if count * width > 3 * size + _SPARE:
        raise StoreError(
            f"'{foreign(path)}': '{foreign(name, 80)}' declares {count:,} numbers in a file of {size:,}"
            " bytes; it is not read."
        )
    return offset
