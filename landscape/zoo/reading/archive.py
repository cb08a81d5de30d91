"""Files of ``torch.save`` and plain pickles as data: what they declare is compared with what is there."""

from __future__ import annotations

import contextlib
import io
import sys
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch

from landscape.zoo.reading.machine import Machine
from landscape.zoo.reading.names import Names
from landscape.zoo.reading.stubs import Budget, DamagedError, Name, RefusedError, Stub, UnsupportedError
from landscape.zoo.reading.tensors import Storage, StorageKind

__all__ = ["TORCHSCRIPT", "Content", "names_in", "read_inert"]

TORCHSCRIPT = "is a TorchScript archive"
"""What is said of one."""

_MAGIC = 0x1950A86A20F9469CFC6C  # of torch.save before 1.6
_PROTOCOL = 1001
_LOCAL_HEADER = 30
_MOST_RECORDS = 1_000_000


@dataclass(frozen=True)
class Content:
    """What a file holds.

    Attributes:
        value: The object, with stubs for what was not made.
        unknown: Dotted names that its pickle looked up and that were not made.
    """

    value: Any
    unknown: tuple[str, ...]


def names_in(path: Path) -> list[str]:
    """The names that a checkpoint looks up and that are not known here, up to where it is damaged."""
    unknown: dict[str, None] = {}
    with contextlib.suppress(OSError, ValueError):
        _read(path, True, unknown)
    return list(unknown)


def read_inert(path: Path, *, mmap: bool = False) -> Content:
    """What a checkpoint holds, without running anything in it.

    Args:
        path: A zip archive or an older file of ``torch.save``, or a plain pickle.
        mmap: Leave the tensors of an archive on disk until they are used.

    Raises:
        OSError: If it cannot be read.
        DamagedError: If it is no such file.
        RefusedError: If it declares more than it holds.
        UnsupportedError: If only torch can read it.
    """
    return _read(path, mmap, {})


def _read(path: Path, mmap: bool, unknown: dict[str, None]) -> Content:
    size = path.stat().st_size
    budget = Budget(size)
    with path.open("rb") as file:
        start = file.read(2)
        file.seek(0)
        if start == b"PK":
            return _Archive(path, file, budget, mmap, unknown).read()
        return _Plain(_Within(file, size), budget, unknown).read()


class _Within(io.RawIOBase):
    """A file whose reads never ask for more than is left: a size in a pickle may say anything."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size

    def read(self, count: int = -1) -> bytes:
        left = self._size - self._file.tell()
        return self._file.read(left if count < 0 else min(count, left))

    def readline(self, limit: int | None = -1) -> bytes:
        return self._file.readline(-1 if limit is None else limit)

    def tell(self) -> int:
        return self._file.tell()

    @property
    def left(self) -> int:
        return self._size - self._file.tell()


class _Archive:
    """A zip archive of torch.save."""

    def __init__(
        self, path: Path, file: BinaryIO, budget: Budget, mmap: bool, unknown: dict[str, None]
    ) -> None:
        self._unknown = unknown
        self._path = path
        self._file = file
        self._budget = budget
        self._map: Any = None
        self._mmap = mmap
        self._storages: dict[str, torch.UntypedStorage] = {}

    def read(self) -> Content:
        try:
            with zipfile.ZipFile(self._file) as archive:
                return self._read(archive.infolist())
        except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
            raise DamagedError(str(error)) from error

    def _read(self, records: list[zipfile.ZipInfo]) -> Content:
        if len(records) > _MOST_RECORDS:
            raise RefusedError("it has more records than any checkpoint")
        if sum(r.file_size for r in records) > self._budget.size:
            # torch stores its records as they are: only a bomb is larger within than without.
            raise RefusedError("its records are compressed or overlap, which torch.save never does")
        self._records = {r.filename: r for r in records}
        pickles = [name for name in self._records if name.rpartition("/")[2] == "data.pkl"]
        if len(pickles) != 1 or len(self._records) != len(records):
            raise DamagedError("it has no data.pkl")
        self._root = pickles[0].removesuffix("data.pkl")
        if f"{self._root}constants.pkl" in self._records:
            raise DamagedError(TORCHSCRIPT)
        order = self._records.get(f"{self._root}byteorder")
        self._swap = order is not None and self._bytes(order) != sys.byteorder.encode()
        names = Names(self._budget, _nested(self._budget, self._unknown), self._unknown)
        machine = Machine(names, self._storage, self._budget)
        value = machine.run(io.BytesIO(self._bytes(self._records[pickles[0]])))
        return Content(value, tuple(self._unknown))

    def _storage(self, identifier: Any) -> Storage:
        _, kind, key, _, count = _identified(identifier, 5)
        length = count * kind.itemsize
        record = self._records.get(f"{self._root}data/{key}")
        if record is None:
            raise DamagedError("a tensor has no record")
        if length > record.file_size:
            raise RefusedError("a tensor is declared larger than its record")
        if key not in self._storages:
            whole = self._swap or not self._mmap
            self._storages[key] = self._loaded(record) if whole else self._mapped(record)
            if self._swap and kind.dtype is not None:
                self._storages[key].byteswap(kind.dtype)  # type: ignore[no-untyped-call]
        return Storage(kind, self._storages[key])

    def _start(self, record: zipfile.ZipInfo) -> int:
        """Where the bytes of a record begin."""
        if record.compress_type != zipfile.ZIP_STORED or record.file_size != record.compress_size:
            raise RefusedError("its records are compressed, which torch.save never does")
        self._file.seek(record.header_offset)
        header = self._file.read(_LOCAL_HEADER)
        if len(header) < _LOCAL_HEADER or header[:4] != b"PK\x03\x04":
            raise DamagedError("a record has no beginning")
        lengths = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
        start = record.header_offset + _LOCAL_HEADER + lengths
        if start + record.file_size > self._budget.size:
            raise DamagedError("a record ends behind the file")
        return start

    def _bytes(self, record: zipfile.ZipInfo) -> bytes:
        self._file.seek(self._start(record))
        data = self._file.read(record.file_size)
        self._check(record, data)
        return data

    def _loaded(self, record: zipfile.ZipInfo) -> torch.UntypedStorage:
        self._file.seek(self._start(record))
        storage = torch.UntypedStorage(record.file_size)  # type: ignore[no-untyped-call]
        if record.file_size:
            _fill(self._file, storage)
            self._check(record, torch.empty(0, dtype=torch.uint8).set_(storage).numpy())
        return storage

    @staticmethod
    def _check(record: zipfile.ZipInfo, data: Any) -> None:
        if record.CRC and zlib.crc32(data) != record.CRC:  # 0: torch was told to take no sums
            raise DamagedError(f"Bad CRC-32 for record {record.filename.rpartition('/')[2]!r}")

    def _mapped(self, record: zipfile.ZipInfo) -> torch.UntypedStorage:
        start = self._start(record)
        if self._map is None:
            self._map = torch.UntypedStorage.from_file(str(self._path), False, self._budget.size)
        part: torch.UntypedStorage = self._map[start : start + record.file_size]
        return part


class _Plain:
    """An older file of torch.save, whose tensors come after five pickles, or one plain pickle."""

    def __init__(self, file: _Within, budget: Budget, unknown: dict[str, None], depth: int = 0) -> None:
        self._unknown = unknown
        self._file = file
        self._budget = budget
        self._depth = depth
        self._storages: dict[str, tuple[StorageKind, torch.UntypedStorage]] = {}
        self._reserved = 0

    def read(self) -> Content:
        first = self._run()
        if type(first) is not int or first != _MAGIC:
            return Content(first, tuple(self._unknown))
        if self._run() != _PROTOCOL:
            raise DamagedError("it is of a form that torch does not know")
        system = self._run()
        little = system.get("little_endian", True) if isinstance(system, dict) else True
        value = self._run()
        keys = self._run()
        if not isinstance(keys, list) or not all(isinstance(k, str) for k in keys):
            raise DamagedError("it does not list its tensors")
        if set(keys) != set(self._storages) or len(set(keys)) != len(keys):
            raise DamagedError("it does not list the tensors that it has")
        for key in keys:
            kind, storage = self._storages[key]
            count = int.from_bytes(self._file.read(8), "little")
            if count * kind.itemsize != storage.nbytes() or storage.nbytes() > self._file.left:
                raise DamagedError("a tensor is not as long as declared")
            if count:
                _fill(self._file._file, storage)
                if little is not (sys.byteorder == "little") and kind.dtype is not None:
                    storage.byteswap(kind.dtype)  # type: ignore[no-untyped-call]
        return Content(value, tuple(self._unknown))

    def _run(self) -> Any:
        names = Names(self._budget, _nested(self._budget, self._unknown, self._depth + 1), self._unknown)
        return Machine(names, self._storage, self._budget).run(self._file)  # type: ignore[arg-type]

    def _storage(self, identifier: Any) -> Storage | Name:
        # Of each class of a whole module, this form keeps the source once, beside the class, which stands as
        # it does in an archive: a name that nothing is imported for.
        if isinstance(identifier, tuple) and len(identifier) == 4 and identifier[0] == "module":
            if not isinstance(identifier[1], Name):
                raise DamagedError("it refers to what is no class")
            return identifier[1]
        if not isinstance(identifier, tuple) or len(identifier) not in (5, 6):
            raise DamagedError("it refers to what is no tensor")
        if len(identifier) == 6 and identifier[5] is not None:
            raise UnsupportedError("a tensor is a view of another's storage")
        _, kind, key, _, count = _identified(identifier[:5], 5)
        length = count * kind.itemsize
        if key not in self._storages:
            self._reserved += length
            if self._reserved > self._file.left:
                raise RefusedError("its tensors are declared larger than the file")
            self._storages[key] = kind, torch.UntypedStorage(length)  # type: ignore[no-untyped-call]
        elif self._storages[key][1].nbytes() != length:
            raise DamagedError("a tensor has two lengths")
        return Storage(kind, self._storages[key][1])


def _nested(budget: Budget, unknown: dict[str, None], depth: int = 1) -> Any:
    """Reads the storages that tensors in a plain pickle carry: each is a file of torch.save in a file."""

    def read(data: bytes) -> Any:
        if depth > 1:
            raise RefusedError("its pickle holds files within files")
        found = _Plain(_Within(io.BytesIO(data), len(data)), budget, unknown, depth).read().value
        return found if isinstance(found, Storage) else Stub("torch.storage._load_from_bytes")

    return read


def _identified(identifier: Any, parts: int) -> tuple[Any, StorageKind, str, Any, int]:
    if not isinstance(identifier, tuple) or len(identifier) != parts or identifier[0] != "storage":
        raise DamagedError("it refers to what is no tensor")
    mark, kind, key, place, count = identifier
    if not isinstance(kind, StorageKind) or not isinstance(key, str):
        raise DamagedError("it refers to what is no tensor")
    if type(count) is not int or not 0 <= count < 1 << 60:
        raise DamagedError("a tensor has no length")
    return mark, kind, key, place, count


def _fill(file: BinaryIO, storage: torch.UntypedStorage) -> None:
    """Read the bytes of a storage from where the file stands."""
    view = torch.empty(0, dtype=torch.uint8).set_(storage).numpy().data
    done = 0
    while done < len(view):
        count = file.readinto(view[done:])  # type: ignore[attr-defined]
        if not count:
            raise DamagedError("a tensor is cut off")
        done += count
