"""Store: a folder with one file per task, keyed by content."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landscape.errors import StoreError
from landscape.store.digest import check
from landscape.store.files import make_folder, save, sweep, write_bytes
from landscape.store.files import open as open_file
from landscape.store.locks import Busy, Lock, holder
from landscape.store.records import Failure, FileHash, Snapshot, record, validated
from landscape.store.within import check_name, check_place, read_text

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Store", "task_key"]

_GONE = "-gone"
"""End of the names of folders of pieces that are being removed."""


def task_key(analysis: str, schema_version: int, parameters: str, facts: Mapping[str, Any]) -> str:
    """Content hash of a task: equal keys mean equal results.

    Args:
        analysis: Name of the analysis.
        schema_version: Version of its schema.
        parameters: All its options as JSON.
        facts: What else decides the result: hashes of checkpoints and data, builders, settings.

    Returns:
        32 hexadecimal digits.
    """
    # Parsed and sorted, so that neither spacing nor the order of options makes another task of it.
    content = json.dumps([analysis, schema_version, _options(parameters), facts], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:32]


@functools.lru_cache(maxsize=64)
def _options(parameters: str) -> Any:
    """Options out of their JSON, which many tasks share; not to be changed."""
    return json.loads(parameters)


class Store:
    """Results in a folder: ``<analysis>/<key>.h5``, failures beside them as ``<key>.failed.json``.

    A file that exists is complete, so what is there never needs to be computed again.

    Args:
        directory: The folder; made when first written to.
        made: Whether it is known to have been made, so that it is not made again if it is not there.
    """

    def __init__(self, directory: str | Path, *, made: bool = False) -> None:
        self.directory = Path(directory)
        self._seen = made or self.directory.is_dir()

    def _check_there(self) -> None:
        """Raise if the folder was there and is no more: made anew, it would hide what it held.

        Raises:
            StoreError: If it is gone.
        """
        if self.directory.is_dir():
            self._seen = True
        elif self._seen:
            raise StoreError(
                f"the store '{self.directory}' is gone: moved, removed, or its disk is not mounted; bring it"
                " back, and the same command goes on from there."
            )

    @property
    def consolidated(self) -> Path:
        """The consolidated file, which may be absent: it can be rebuilt at will."""
        return self.directory / "zoo.h5"

    def path(self, analysis: str, key: str) -> Path:
        """Where the result of a task is or will be."""
        return Path(f"{self.directory}/{analysis}/{key}.h5")

    def partial(self, analysis: str, key: str, mark: str = "") -> Path:
        """Where a long task may keep partial results; removed when it is done.

        Args:
            analysis: Its folder.
            key: Of the task.
            mark: What decides the numbers beside the key, in a word: pieces of other code are not ours.
        """
        return self.directory / analysis / (f"{key}-{mark}.partial" if mark else f"{key}.partial")

    def has(self, analysis: str, key: str) -> bool:
        """Whether the task is done."""
        # By texts, as below: a run over a finished store asks for each result, and paths take the longest.
        return os.path.isfile(f"{self.directory}/{analysis}/{key}.h5")  # noqa: PTH113

    def left_out(self, analysis: str, key: str) -> dict[str, str]:
        """Members that the result of a group is without, and why; empty if there are none or no result."""
        return self.recorded(analysis, key, "left_out")

    def recorded(self, analysis: str, key: str, attribute: str) -> dict[str, str]:
        """The mapping in an attribute of a result; empty if there is none, or no result that can be read."""
        import h5py

        path = self.path(analysis, key)
        try:
            check(path)
            with h5py.File(path, "r", locking=False) as file:
                return dict(json.loads(str(file.attrs.get(attribute, "{}"))))
        except (
            OSError,
            ValueError,
            TypeError,
            StoreError,
        ):  # what cannot be read is dealt with where it is needed
            return {}

    def names(self, analysis: str, key: str, text: str) -> bool:
        """Whether a text stands in the file of a result: of hashes, a quicker answer than `recorded`."""
        try:
            return text.encode() in self.path(analysis, key).read_bytes()
        except OSError:
            return False

    def read(self, analysis: str, key: str) -> xr.Dataset:
        """The result of a task; `StoreError` if there is none."""
        return open_file(self.path(analysis, key))

    def write(self, ds: xr.Dataset, key: str, mark: str = "") -> Path:
        """Write a result under the analysis that its attributes name; clear a former failure.

        Args:
            ds: The result.
            key: Of its task.
            mark: That of its pieces, see `partial`; those under others go in the next `sweep`.
        """
        analysis = str(ds.attrs["analysis"])
        path = self.path(analysis, key)
        with self.writing() as within:
            save(ds, path, within=within)
        # Only now: until the result is on disk, pieces and former failure are all that there is. Whoever is
        # killed in between leaves files that no run heeds once the result is there.
        self.clear_failure(analysis, key)
        # By name: to look for them would be to read a folder of thousands of results for each task.
        for partial in {self.partial(analysis, key), self.partial(analysis, key, mark)}:
            _discard(partial)
        return path

    def fail(self, failure: Failure) -> None:
        """Remember a failure, in place of a former one of the same task."""
        text = record(asdict(failure), indent=1)
        with self.writing() as within:
            write_bytes(self._failure_path(failure.analysis, failure.key), text.encode(), within=within)

    def clear_failure(self, analysis: str, key: str) -> None:
        """Forget the failure of a task, if there was one."""
        with contextlib.suppress(OSError):
            self._failure_path(analysis, key).unlink(missing_ok=True)

    def failures(self) -> list[Failure]:
        """All remembered failures."""
        found = []
        for file in sorted(self.directory.glob("*/*.failed.json")):
            with contextlib.suppress(OSError, ValueError):  # half a file is no failure
                check_place(file, self.directory)
                found.append(validated(Failure, read_text(file)))
        return found

    def write_snapshot(self, snapshot: Snapshot) -> None:
        """Remember the zoo of this run."""
        with self.writing() as within:
            write_bytes(self._snapshot_path, snapshot.to_json().encode(), within=within)

    def read_snapshot(self) -> Snapshot | None:
        """The zoo of the last run, and others of the store; ``None`` if there is none or it cannot be read.

        Raises:
            StoreError: If it names what is not in the store.
        """
        path = self._snapshot_path
        if not path.exists():
            return None
        check_place(path, self.directory)
        try:
            snapshot = Snapshot.from_json(read_text(path))
        except (OSError, ValueError):
            return None
        for section in (s for zoo in snapshot.all() for s in zoo.sections):
            for name in (section.folder, *section.tasks.values()):
                check_name(name, path)
        return snapshot

    def write_hashes(self, hashes: Mapping[str, FileHash]) -> None:
        """Remember the hashes of the checkpoints, so that the next run need not read them all."""
        text = record({path: [h.size, h.changed_ns, h.sha256] for path, h in hashes.items()})
        with self.writing() as within:
            write_bytes(self._hashes_path, text.encode(), within=within)

    def read_hashes(self) -> dict[str, FileHash]:
        """Hashes by the path that the manifest gives; empty if there are none or they cannot be read."""
        try:
            known = validated(dict[str, tuple[int, int, str]], read_text(self._hashes_path))
        except (OSError, ValueError):
            return {}
        return {path: FileHash(*values) for path, values in known.items()}

    def sweep(self) -> int:
        """Remove what a killed run left, temporary files and claims of finished tasks; return how many."""
        removed = sweep(self.directory)
        # A run that dies between the rename that finishes a result and the end of its claim leaves the lock,
        # and nobody claims that task again. Taking it away is as harmless as in `claim`: the result is there.
        for lock in self.directory.glob("*/*.lock"):
            if lock.with_suffix(".h5").exists():
                with contextlib.suppress(OSError):
                    lock.unlink()
                    removed += 1
        # The same for the pieces of a task: those that are older than its result are of no use. Younger ones
        # are of a run that does it again.
        for partial in self.directory.glob("*/*.partial"):
            result = partial.with_name(f"{partial.name.partition('.')[0].partition('-')[0]}.h5")
            with contextlib.suppress(OSError):
                gone = partial.stem.endswith(_GONE)
                if gone or (partial.is_dir() and result.stat().st_mtime_ns > partial.stat().st_mtime_ns):
                    _discard(partial)
                    removed += 1
        return removed

    @contextmanager
    def claim(self, analysis: str, key: str) -> Iterator[bool]:
        """Within it, whether the task is this process's alone; ``False`` if another one has it.

        A claim ends with its process, however that ends. On a file system without locks everybody has
        every task: results stay right, and the same result may be computed twice.

        Raises:
            StoreError: If the folder cannot be made or written to.
        """
        # A lock of the operating system and not a file that says "mine": such a file outlives a process that
        # is killed, and whether its owner still lives cannot be told from another machine. The claim saves
        # work and guards nothing: results appear by a rename that is atomic, so that even two processes at
        # one task leave one whole file with the same values.
        path = self.path(analysis, key).with_suffix(".lock")
        lock = Lock(path)
        try:
            with self.writing() as within:
                _acquire(lock, path, within)
        except Busy:
            yield False
            return
        try:
            yield True
        finally:
            # Removed while it is held. Who had opened the file before may lock it after us while another run
            # locks a new file of the same name; both then ask whether the result is there, and it is.
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            lock.release()

    def claimant(self, analysis: str, key: str) -> tuple[str, Path]:
        """Who claims a task, in words, and the file that says so."""
        path = self.path(analysis, key).with_suffix(".lock")
        return holder(path), path

    def lock(self) -> Lock:
        """The lock on what all runs share (snapshot, failures, consolidated file); it ends with the process.

        Raises:
            StoreError: If the folder cannot be made or written to, or what should be its lock is no file.
        """
        # A lock can be had on a disk that is full or has become read-only: writing is tried first, so that a
        # run ends here with one sentence and not after its first task.
        with self.writing() as within:
            try:
                make_folder(self.directory, within)
                write_bytes(self.directory / ".writable", b"", within=within)
                (self.directory / ".writable").unlink(missing_ok=True)
                self._seen = True
            except OSError as error:
                reason = error.strerror or str(error).rstrip(".")
                raise StoreError(f"the store '{self.directory}' cannot be written to: {reason}.") from error
        lock = self.directory / ".lock"
        if lock.is_symlink() or (lock.exists() and not lock.is_file()):
            what = "a link" if lock.is_symlink() else "a folder" if lock.is_dir() else "no file"
            raise StoreError(f"'{lock}' is {what}, where the lock of the store should be: remove it.")
        return Lock(lock)

    @contextmanager
    def writing(self) -> Iterator[Path | None]:
        """For every write: the folder to write within, once it was there; ``None`` while it may be made.

        Yields:
            What `landscape.store.files.make_folder` takes as ``within``.

        Raises:
            StoreError: If the store was there and is gone, or for whatever fails within.
        """
        # A disk that is unmounted leaves an empty folder, or none: a store made anew in its place would take
        # results that are hidden once the disk is back. So a store is made once, and never again. The
        # folder may also vanish between this look and the write, hence the second look when a write fails.
        self._check_there()
        try:
            yield self.directory if self._seen else None
        except StoreError:
            self._check_there()
            raise

    @property
    def _hashes_path(self) -> Path:
        return self.directory / "hashes.json"

    @property
    def _snapshot_path(self) -> Path:
        return self.directory / "zoo.json"

    def _failure_path(self, analysis: str, key: str) -> Path:
        return self.directory / analysis / f"{key}.failed.json"


def _discard(partial: Path) -> None:
    """Remove the pieces of a task, if there are any."""
    with contextlib.suppress(OSError):
        if partial.is_symlink() or not partial.is_dir():
            partial.unlink(missing_ok=True)
            return
        # Renamed first: a folder that was being emptied when its process was killed is younger than its
        # result, as pieces of a run under way are.
        if not partial.stem.endswith(_GONE):
            partial = partial.rename(
                partial.with_name(f"{partial.stem}-{secrets.token_hex(4)}{_GONE}.partial")
            )
        shutil.rmtree(partial)


def _acquire(lock: Lock, path: Path, within: Path | None) -> None:
    """Take a lock without waiting, its folder made first.

    Raises:
        Busy: If another process has it.
        StoreError: If the folder cannot be made or written to.
    """
    try:
        make_folder(path.parent, within)
        lock.acquire(timeout=0)
    except Busy:
        raise
    except OSError as error:
        raise StoreError(f"'{path}' cannot be written: {error.strerror or error}.") from error
