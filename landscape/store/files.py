"""Files that are complete or absent: written aside, synced to disk, then renamed."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landscape.errors import InputError, StoreError, said_by_system
from landscape.store.digest import check, check_once, sealed
from landscape.store.groups import dataset_in
from landscape.store.within import check_group
from landscape.text import foreign

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Stamp", "as_path", "open", "replacing", "save", "stamp_of", "sweep", "write_bytes"]

Stamp = tuple[int, int, int]
"""Size of a file, when it changed, in nanoseconds, and its number in the file system."""

# The name of a temporary file says whose it is, so that what a killed process left can be told from what a
# living one is writing.
_HOST = re.sub(r"[^A-Za-z0-9]", "_", platform.node()) or "host"
_TEMPORARY = re.compile(r"\.landscape-(?P<host>\w+)-(?P<pid>\d+)-[0-9a-f]+\.tmp")
_OLD_S = 24 * 3600.0  # no write takes that long


def save(ds: xr.Dataset, path: str | Path, *, within: Path | None = None) -> None:
    """Write a dataset as HDF5 in the netCDF-4 layout; the file is complete or absent.

    Values are written bit for bit, without fill values or compression, with a digest over the whole file
    behind them (`landscape.store.digest`). Missing folders are made.

    Args:
        ds: Any dataset of numbers, booleans and strings.
        path: The file; an existing one is replaced only when the new one is on disk.
        within: A folder that must be there: only the one below it is made.

    Raises:
        StoreError: If it cannot be written (full disk, no permission); nothing is left behind.
    """
    from landscape.store.netcdf import image

    # Encoded in memory first: HDF5 on a full disk fails late, sometimes only when closing the file.
    try:
        data = sealed(image(ds))
    except (TypeError, ValueError) as error:
        raise StoreError(f"'{path}' cannot be written as HDF5: {error}.") from error
    write_bytes(as_path(path, "a result"), data, within=within)


def as_path(path: Any, what: str) -> Path:
    """A path that a user gave.

    Raises:
        InputError: If it is none.
    """
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"the path of {what} must be a text or a Path; got a {type(path).__name__}.")
    return Path(path)


def _what_is_there(folder: Path) -> str:
    """What of a store can be opened, as a further sentence; empty if the folder is no store."""
    import h5py

    whole = folder / "zoo.h5"
    if not whole.is_file():
        return ""
    try:
        check(whole)
        with h5py.File(whole, "r", locking=False) as file:
            check_group(file, whole, depth=3)
            names = [
                f"{label}/{name}" for label, group in file.items() for name in getattr(group, "keys", list)()
            ]
    except (OSError, StoreError):
        return ""
    shown = ", ".join(foreign(name, 80) for name in names[:5]) + (", ..." if len(names) > 5 else "")
    return f" A group opens one of its results: {shown}." if names else ""


def open(path: str | Path, group: str | None = None) -> xr.Dataset:
    """Read a dataset into memory and close the file.

    Args:
        path: A result, a consolidated ``zoo.h5``, or a store, whose ``zoo.h5`` is meant.
        group: The group within a consolidated file, for example ``"spectrum/resnet-s0"``.

    Raises:
        StoreError: If the file is missing, is no HDF5 file, is damaged, or lacks the group.
    """
    import h5py
    import xarray as xr

    path = as_path(path, "a result")
    if not path.exists():
        raise StoreError(f"there is no file '{path}'.")
    if path.is_dir():
        if group is None or not (path / "zoo.h5").is_file():
            raise StoreError(f"'{path}' is a folder, not a result file.{_what_is_there(path)}")
        path = path / "zoo.h5"
    if not os.access(path, os.R_OK):
        raise StoreError(f"'{path}' cannot be read: permission denied.")
    try:
        # Before HDF5 sees any of it: a flipped bit may also make it read without end. A consolidated file is
        # large, and mostly several of its groups are asked for.
        (check if group is None else check_once)(path)
        if not h5py.is_hdf5(path):
            raise StoreError(f"'{path}' is not an HDF5 file, or its beginning is damaged.")
        with h5py.File(path, "r", locking=False) as file:
            check_group(file, path)
            if group is not None:
                if not isinstance(file.get(group), h5py.Group):
                    raise StoreError(f"'{path}' has no group '{group}'.")
                check_group(file, path, group)
                # Directly: xarray's reader looks at all groups of the file first, which may be thousands.
                found = dataset_in(file[group], path, path.stat().st_size)
                if found is not None:
                    return found
        # Without a lock: results are put in place whole and never written to, so that another program that
        # holds the file open, even for writing, is no reason not to read it.
        return xr.load_dataset(
            path, engine="h5netcdf", group=group, decode_times=False, driver_kwds={"locking": False}
        )
    except StoreError:
        raise
    except BlockingIOError as error:
        raise StoreError(f"'{path}' is held by another program: {error.strerror or error}.") from error
    except (ImportError, MemoryError) as error:
        raise StoreError(f"'{path}' cannot be read here: {type(error).__name__}: {error}.") from error
    except Exception as error:  # h5py reports damage as OSError, KeyError, RuntimeError or ValueError
        said = said_by_system(error)
        if said:  # the system's word, not that of the format
            raise StoreError(f"'{path}' cannot be read: {said}.") from error
        # What HDF5 says of its insides helps nobody: it goes along as the cause.
        raise StoreError(f"'{path}' is truncated or damaged.") from error


def write_bytes(path: Path, data: bytes | memoryview, *, within: Path | None = None) -> None:
    """Write a file that is complete or absent.

    Raises:
        StoreError: If it cannot be written; nothing is left behind.
    """
    with replacing(path, within=within) as temporary:
        temporary.write_bytes(data)


def make_folder(folder: Path, within: Path | None) -> None:
    """Make a folder with all above it; or, within a folder that must be there, the one below it alone.

    Raises:
        StoreError: If it is a link.
        OSError: If it cannot be made, or the folder that must be there is gone.
    """
    if within is None:
        folder.mkdir(parents=True, exist_ok=True)
    elif folder != within:
        if folder.is_symlink():
            raise StoreError(f"'{folder}' is a link, and may lead anywhere: nothing is written through it.")
        folder.mkdir(exist_ok=True)  # fails if `within` is gone, as it is meant to


def stamp_of(path: Path) -> Stamp:
    """What tells a file from a later one of its name.

    Raises:
        OSError: If there is none.
    """
    status = path.stat()
    # The number, since clocks of file systems tick: two seconds long on some, and a result may be quick.
    return status.st_size, status.st_mtime_ns, status.st_ino


@contextmanager
def replacing(path: Path, *, within: Path | None = None) -> Iterator[Path]:
    """Give a temporary file beside ``path``; afterwards it is synced and takes its place.

    On any error the temporary file is removed and ``path`` stays as it was.

    Raises:
        StoreError: For every `OSError` within.
    """
    # Beside its place, since a rename is atomic only within one file system; hidden and without the ending of
    # a result, so that nobody who lists results sees it; random, since two threads may write one file.
    temporary = path.with_name(f".landscape-{_HOST}-{os.getpid()}-{secrets.token_hex(8)}.tmp")
    try:
        make_folder(path.parent, within)
        yield temporary
        # Contents before the name, then the name: else a power cut can leave a file of the right name that is
        # empty, and a file that exists counts as done.
        _sync(temporary)
        if path.is_file() and not path.is_symlink():  # who may read it stays as its owner said
            temporary.chmod(stat.S_IMODE(path.stat().st_mode))
        temporary.replace(path)
        _sync(path.parent)
    except StoreError:  # a sentence already
        raise
    except OSError as error:
        reason = said_by_system(error) or str(error)
        raise StoreError(f"'{path}' cannot be written: {reason}.") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def sweep(folder: Path) -> int:
    """Remove temporary files below ``folder`` that no living process owns; return how many.

    Those of other machines are removed when a day old.
    """
    removed = 0
    for file in folder.rglob(".landscape-*.tmp"):
        match = _TEMPORARY.fullmatch(file.name)
        if match is None:
            continue
        with contextlib.suppress(OSError):
            # A process number says nothing on another machine, and here it may be that of a new process by
            # now; a day's age settles both.
            ours = match["host"] == _HOST
            if (ours and not _alive(int(match["pid"]))) or _age_s(file) > _OLD_S:
                file.unlink()
                removed += 1
    return removed


def _sync(path: Path) -> None:
    """Force a file or folder to disk."""
    if path.is_dir() and os.name == "nt":  # Windows cannot sync folders
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # sends nothing, only asks
    except ProcessLookupError:
        return False
    except OSError:  # it lives and belongs to somebody else
        return True
    # One that has ended still has its number until its parent asks for it, which an orphan's may do late.
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0] not in "ZX"
        )
    except (OSError, IndexError):  # no such folder on this system
        return True


def _age_s(file: Path) -> float:
    """Age by the clock of the file system, which may go otherwise than ours."""
    probe = file.with_name(f"{_HOST}-{os.getpid()}-{secrets.token_hex(8)}.clock")
    probe.touch()
    try:
        return probe.stat().st_mtime - file.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)
