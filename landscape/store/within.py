"""A store is read within itself: nothing in it may lead to another file, and none is larger than it is.

Stores travel. A data set that keeps its numbers in another file, a link, a folder named ``../..``: each would
bring a file of the reader's machine into a report.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from landscape.errors import StoreError
from landscape.text import foreign

if TYPE_CHECKING:
    import h5py

__all__ = ["check_group", "check_name", "check_place", "open_data", "read_numbers", "read_text"]

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
            _check_data(item.id, f"{holder.name.rstrip('/')}/{name}", path, size)


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


def open_data(group: h5py.h5g.GroupID, name: bytes, path: Path, size: int) -> h5py.h5d.DatasetID | None:
    """A data set right below a group, checked as `check_group` does, and quicker.

    Args:
        group: Where it is.
        name: As the group gives it.
        path: Of the file.
        size: The file's, in bytes.

    Returns:
        The open data set; ``None`` if the name is that of something else.

    Raises:
        StoreError: Naming the file and the data set.
    """
    from h5py import h5d, h5i, h5l, h5o

    if group.links.get_info(name).type != h5l.TYPE_HARD:
        raise _is_link(name.decode("utf-8", "replace"), path)
    item = h5o.open(group, name)
    if h5i.get_type(item) != h5i.DATASET:
        return None
    data: h5d.DatasetID = item
    _check_data(data, f"/{name.decode('utf-8', 'replace')}", path, size)
    return data


def read_numbers(item: h5py.h5d.DatasetID) -> NDArray[Any]:
    """All numbers of a data set, without the detours of h5py's general way."""
    from h5py import h5s

    # Zeros: of what was never written HDF5 may write nothing either, and what lay in memory is no result.
    values = np.zeros(item.shape, item.dtype)
    item.read(h5s.ALL, h5s.ALL, values)
    return values


def _check_data(item: h5py.h5d.DatasetID, name: str, path: Path, size: int) -> None:
    """Raise if the numbers of a data set lie elsewhere, or are more than a file of this size could hold.

    Raises:
        StoreError: Naming the file and the data set.
    """
    from h5py import h5d

    made = item.get_create_plist()
    if made.get_external_count() or made.get_layout() == h5d.VIRTUAL:
        raise StoreError(
            f"'{foreign(path)}': the numbers of '{foreign(name, 80)}' are in another file; it is not read."
        )
    # A data set that was never written, or is compressed, may be of any size.
    count = math.prod(item.shape or ())  # HDF5's own count wraps around at 2^64
    if count * item.get_type().get_size() > 3 * size + _SPARE:
        raise StoreError(
            f"'{foreign(path)}': '{foreign(name, 80)}' declares {count:,} numbers in a file of {size:,}"
            " bytes; it is not read."
        )
