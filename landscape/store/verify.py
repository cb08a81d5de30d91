"""Which files of a store are what was written, and what becomes of those that are not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from landscape.errors import StoreError
from landscape.store.digest import check
from landscape.store.fast_read import read
from landscape.store.records import Failure, Snapshot, parsed, validated
from landscape.store.store import Store
from landscape.store.within import check_place, read_text
from landscape.text import foreign

__all__ = ["ASIDE", "Verdict", "fault", "set_aside", "verify"]

ASIDE = ".damaged"
"""What the name of a file ends in that was set aside."""


@dataclass(frozen=True)
class Verdict:
    """What is known of one file of a store.

    Attributes:
        path: The file.
        fault: What is wrong with it, in one sentence; empty if nothing is.
        has_digest: Whether its bytes could be compared with those written; files of older versions carry no
            digest, and that they can be read is all that can be said of them.
        subject: What ``landscape run`` will compute again without it, as ``label of subject``; empty if
            nothing, or unknown.
    """

    path: Path
    fault: str = ""
    has_digest: bool = True
    subject: str = ""


def fault(path: Path) -> tuple[str, bool]:
    """What is wrong with a result, or with a consolidated file; and whether it has a digest.

    Raises:
        OSError: If the system cannot read it, which says nothing of what is in it.
    """
    import h5py

    try:
        has_digest = check(path)
    except StoreError as error:
        return str(error), True
    if has_digest:
        return "", True
    # Of an older version, or changed by another program: what can be read counts as whole.
    try:
        if path.name == "zoo.h5":
            h5py.File(path, "r", locking=False).close()
        else:
            read(path)
    except (StoreError, OSError, RuntimeError, ValueError) as error:
        text = str(error) if isinstance(error, StoreError) else ""
        return text or f"'{foreign(path)}' is truncated or damaged.", False
    return "", False


def set_aside(path: Path) -> Path:
    """Rename a damaged file, so that nobody takes it for a whole one; return its new place.

    Raises:
        StoreError: If the store cannot be written to.
    """
    aside = path.with_name(path.name + ASIDE)
    try:
        path.replace(aside)
    except OSError as error:
        raise StoreError(f"'{foreign(path)}' cannot be set aside: {error.strerror or error}.") from error
    return aside


def verify(
    directory: str | Path, on_file: Callable[[int, int, Path], None] = lambda done, total, path: None
) -> list[Verdict]:
    """Check every file of a store: results, the consolidated file, and records. Nothing is changed.

    Args:
        directory: The store.
        on_file: Called before each file with the number of those done, of all, and its path.

    Returns:
        A verdict for each, in the order of their names.

    Raises:
        StoreError: If there is no such folder, or nothing in it.
    """
    store = Store(directory)
    if not store.directory.is_dir():
        raise StoreError(f"there is no store '{directory}'.")
    files = sorted(f for pattern in ("*.h5", "*.json", "*/*.h5", "*/*.json") for f in _found(store, pattern))
    if not files:
        raise StoreError(f"'{directory}' holds no results of landscape.")
    subjects = _subjects(store)
    verdicts = []
    for number, path in enumerate(files):
        on_file(number, len(files), path)
        try:
            check_place(path, store.directory)
            found, has_digest = fault(path) if path.suffix == ".h5" else (_record_fault(path), True)
        except StoreError as error:
            found, has_digest = str(error), True
        except OSError as error:
            found, has_digest = f"'{foreign(path)}' cannot be read: {error.strerror or error}.", True
        verdicts.append(Verdict(path, found, has_digest, subjects.get((path.parent.name, path.stem), "")))
    return verdicts


def _found(store: Store, pattern: str) -> Iterator[Path]:
    return (f for f in store.directory.glob(pattern) if not f.name.startswith("."))


def _subjects(store: Store) -> dict[tuple[str, str], str]:
    """Whose result each file is, by its folder and key, as the zoo of the last run tells."""
    try:
        snapshot = store.read_snapshot()
    except StoreError:
        snapshot = None
    sections = [s for zoo in snapshot.all() for s in zoo.sections] if snapshot is not None else []
    return {(s.folder, key): f"{s.label} of {subject}" for s in sections for subject, key in s.tasks.items()}


def _record_fault(path: Path) -> str:
    try:
        text = read_text(path)
        if path.name == "zoo.json":
            Snapshot.from_json(text)
        elif path.name == "hashes.json":
            validated(dict[str, tuple[int, int, str]], text)
        elif path.name == "costs.json":
            validated(dict[str, tuple[int, float]], text)
        elif path.name == "metrics.json":
            validated(dict[str, dict[str, tuple[int, int, int, dict[str, float | int | bool | str]]]], text)
        elif path.name.endswith(".failed.json"):
            validated(Failure, text)
        else:
            parsed(text)
    except ValueError:
        return f"'{foreign(path)}' is damaged: it is no record of landscape."
    return ""
