"""A digest over a whole file of HDF5, that travels with it: one flipped bit is noticed before HDF5 reads any.

HDF5's own checksums cover the numbers of data sets alone, neither attributes nor texts nor its own
structure. The digest stands behind the end of the file, where no reader looks: h5py, xarray and the netCDF
library open it as before, while before its beginning (HDF5's user block) it would hide from xarray what kind
of file it is. A program that writes to the file cuts it off, and what it leaves is a file without a digest.
"""

from __future__ import annotations

import functools
import hashlib
import time
from pathlib import Path
from typing import BinaryIO

from landscape.errors import StoreError
from landscape.text import foreign

__all__ = ["check", "check_once", "checked", "intact", "seal", "seal_of", "sealed"]

_MAGIC = b"\x89HDF\r\n\x1a\n"
# Twice the same word, so that whatever bit flips in one of them, the other says that a digest was there.
_BEFORE = b"\nlandscape:sha256:"
_AFTER = b":sha256:landscape\n"
_LENGTH = len(_BEFORE) + 64 + len(_AFTER)
_PIECE = 1 << 20
_HELD = 20  # where HDF5 marks a file that a program has open for writing, whether it writes to it or not
_RECENT_NS = 2_000_000_000  # a file of two seconds ago may change without its time of change moving on


def sealed(data: bytes) -> bytes:
    """The bytes of a file with its digest behind them."""
    return data + _end(hashlib.sha256(data).hexdigest())


def seal(path: Path) -> str:
    """Put its digest behind a file that is finished, and return it.

    Raises:
        OSError: If it cannot be read or written.
    """
    with path.open("rb+") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
        file.write(_end(found))
    return found


def seal_of(path: Path) -> str:
    """The digest behind a file, which `check` compares with its bytes; empty if it has none.

    Raises:
        OSError: If it cannot be read.
    """
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, 2) - _LENGTH))
        tail = file.read()
    whole = tail.startswith(_BEFORE) and tail.endswith(_AFTER)
    return tail[len(_BEFORE) : -len(_AFTER)].decode("ascii", "replace") if whole else ""


def check(path: Path) -> bool:
    """Raise if a file is not what was written.

    Returns:
        Whether it has a digest; files of older versions, or changed by other programs, have none.

    Raises:
        StoreError: If its bytes are others than those that its digest was made of.
        OSError: If it cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 2 * _LENGTH))
        tail = file.read()
        file.seek(0)
        if not _has_digest(tail):
            _check_end(file.read(48), size, path)
            return False
        found = hashlib.sha256()
        left = size - _LENGTH
        buffer = memoryview(bytearray(max(0, min(_PIECE, left))))
        while left > 0 and (count := _read_into(file, buffer[: min(left, _PIECE)])):
            if left == size - _LENGTH and _is_held(buffer[:count]):
                buffer[_HELD] = 0
            found.update(buffer[:count])
            left -= count
    _compare(tail, found.hexdigest(), path)
    return True


def checked(path: Path) -> bytes:
    """The bytes of a file, read once and checked as `check` does.

    Raises:
        StoreError: If they are not what was written.
        OSError: If it cannot be read.
    """
    data = _read_whole(path)
    tail = data[-2 * _LENGTH :]
    if _has_digest(tail):
        _compare(tail, _digest_within(data), path)
    else:
        _check_end(data[:48], len(data), path)
    return data


def intact(path: Path) -> bytes | None:
    """The bytes of a file, read once, if they are what its digest was made of; ``None`` if not, or without.

    Raises:
        OSError: If it cannot be read.
    """
    data = _read_whole(path)
    return data if data[-_LENGTH:] == _end(_digest_within(data)) else None


def check_once(path: Path) -> None:
    """As `check`, for a file of which pieces are read many times: not again until the file changes.

    Raises:
        StoreError: If its bytes are others than those that its digest was made of.
        OSError: If it cannot be read.
    """
    status = path.stat()
    if time.time_ns() - status.st_mtime_ns < _RECENT_NS:
        check(path)
    else:
        _remembered(path.absolute(), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@functools.lru_cache(maxsize=64)
def _remembered(path: Path, *stamp: int) -> bool:
    return check(path)


def _read_whole(path: Path) -> bytes:
    with path.open("rb", buffering=0) as file:
        data: bytes = file.readall()
    return data[:_HELD] + b"\0" + data[_HELD + 1 :] if _is_held(data) else data


def _digest_within(data: bytes) -> str:
    """The digest of all that is before the place of one."""
    return hashlib.sha256(memoryview(data)[:-_LENGTH]).hexdigest()


def _end(digest: str) -> bytes:
    return _BEFORE + digest.encode() + _AFTER


def _has_digest(tail: bytes) -> bool:
    return _BEFORE in tail or _AFTER in tail


def _is_held(data: bytes | memoryview) -> bool:
    """Whether the beginning is that of an HDF5 file (of the older form, which ours have) with that mark."""
    head = bytes(data[: _HELD + 4])
    return head[:8] == _MAGIC and head[8] in (0, 1) and head[_HELD:] == b"\1\0\0\0"


def _compare(tail: bytes, digest: str, path: Path) -> None:
    if tail[-_LENGTH:] != _end(digest):
        raise StoreError(
            f"'{foreign(path)}' is truncated or damaged: its bytes are not those that were written (SHA-256)."
        )


def _check_end(head: bytes, size: int, path: Path) -> None:
    """Raise if there is something behind the end that an HDF5 file without digest says that it has."""
    if head[:8] != _MAGIC or len(head) < 48:
        return  # HDF5's to say
    # The format's version, and where that version says how long an address is, and where the file ends.
    places = {0: (13, 40), 1: (13, 44), 2: (9, 28), 3: (9, 28)}
    length, end = places.get(head[8], (8, 0))
    if head[length] != 8 or end + 8 > len(head):
        return
    stated = int.from_bytes(head[end : end + 8], "little")
    if size > stated:
        raise StoreError(
            f"'{foreign(path)}' is truncated or damaged: {size - stated} bytes behind its end are not those"
            " that were written."
        )


def _read_into(file: BinaryIO, buffer: memoryview) -> int:
    count: int = file.readinto(buffer)  # type: ignore[attr-defined]
    return count
