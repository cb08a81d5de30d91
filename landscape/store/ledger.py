"""Partial results of a long computation: pieces in files of their own, shared by several workers.

Implements `landscape.base.ledger.Ledger`, which says what each method is for.
"""

from __future__ import annotations

import errno
import json
import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landscape.errors import InputError, StoreError
from landscape.store.digest import check, seal
from landscape.store.files import replacing, write_bytes
from landscape.store.locks import Busy, Lock
from landscape.store.records import parsed, record

__all__ = ["Finished", "FolderLedger"]

Piece = Mapping[str, NDArray[Any]]

POLL_S = 0.2


class Finished(Exception):  # noqa: N818 - not an error: there is nothing left to do
    """Another process has finished the whole computation while this one helped."""


class FolderLedger:
    """The ledger in a folder.

    Each finished piece is one file that is complete or absent, so that a run killed at any instant loses at
    most the pieces under way; NaN and infinity are values like any other. Several processes with the same
    folder share the work: each takes pieces that nobody holds. A holder's lock ends with its process, so the
    piece of one that was killed is taken over. When one of them has written the result (the file of the
    folder's name that ends in ``.h5``), the others get `Finished`. A folder that is removed meanwhile is not
    made again (but in the instant of taking a lock, which makes its own folder): what is left is computed
    in memory.

    Args:
        folder: Where to keep the pieces, made in a folder that must be there.
        identity: What decides the numbers: hashes, options. Strings, numbers and lists. Without it the
            folder's own name must say it, as a task's key does.
        result: The file that ends the whole computation; by default that of the folder's name.

    Raises:
        InputError: If the folder holds pieces of another computation.
        StoreError: If the folder cannot be written to.
    """

    def __init__(
        self, folder: Path, identity: Mapping[str, Any] | None = None, result: Path | None = None
    ) -> None:
        self._folder = folder
        self._result = result or folder.with_suffix(".h5")
        # A result that is there already is one to be replaced, and does not say that this work is finished.
        self._anew = self._result.exists()
        try:
            if folder.is_symlink():
                raise OSError(errno.ELOOP, "it is a link, and may lead anywhere")
            folder.mkdir(exist_ok=True)  # without parents: a store that is gone must not come back empty
        except OSError as error:
            raise StoreError(f"'{folder}' cannot be made: {error.strerror or error}.") from error
        if identity is None:
            return
        ours = json.loads(json.dumps(identity))  # as it reads back from disk: tuples are lists there
        theirs = self.remember("identity", lambda: ours)
        for name in sorted({*ours, *theirs}):
            self._compare(name, theirs.get(name), ours.get(name))

    def require(self, name: str, value: Any) -> None:
        """See `landscape.base.ledger.Ledger.require`.

        Raises:
            InputError: If an earlier run had another value.
        """
        ours = json.loads(json.dumps(value))
        self._compare(name, self.remember(f"required-{name}", lambda: {"value": ours})["value"], ours)

    def _compare(self, name: str, theirs: Any, ours: Any) -> None:
        if theirs != ours:
            raise InputError(
                f"the partial results in '{self._folder}' were made with another {name} ({theirs}, now"
                f" {ours}); remove that folder to start anew."
            )

    def remember(self, name: str, decide: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """A decision that all runs and workers share: the first to arrive decides.

        Args:
            name: Of the decision.
            decide: Makes it; must be writable as JSON.
        """
        if not self._folder.exists():
            return dict(decide())
        file = self._folder / f"{name}.json"
        made: Mapping[str, Any] | None = None
        # Unlike for pieces, a worker waits for this lock: it can do nothing before it knows the decision. Who
        # decides takes what reads back from the file as well, so that all go on from the same values.
        try:
            with self._lock(name):
                if not file.exists():
                    made = decide()
                    self._write_first(file, record(made).encode())
                found = _decision(file)
                if found is None:  # a damaged disk spoilt it
                    # Pieces may rest on what was decided, and deciding again may decide otherwise.
                    for piece in self._folder.glob("*.npz"):
                        piece.unlink(missing_ok=True)
                    made = decide() if made is None else made
                    self._write(file, record(made).encode())
                    return dict(json.loads(json.dumps(made)))
                return found
        except (OSError, StoreError):
            if self._folder.exists():
                raise
            # The folder was removed meanwhile. Deciding twice might decide otherwise, hence `made`.
            return dict(decide() if made is None else made)

    def collect(
        self,
        names: Sequence[str],
        compute: Callable[[int], Piece],
        on_done: Callable[[int], None] = lambda count: None,
    ) -> list[Piece]:
        """All pieces, in order: read where they exist, else computed here or by another worker.

        Args:
            names: One per piece; file names.
            compute: ``index -> piece``.
            on_done: Called with the number of finished pieces whenever it grows.

        Raises:
            Finished: If another process has written the result meanwhile.
        """
        # Pieces that others hold are passed over and asked for again in the next round, so that nobody waits
        # while there is work, and the piece of a worker that died meanwhile is found unlocked.
        pieces: dict[int, Piece] = {}
        while len(pieces) < len(names):
            before = len(pieces)
            for index, name in enumerate(names):
                if index in pieces:
                    continue
                piece = self._take(name, lambda i=index: compute(i))  # type: ignore[misc]
                if piece is not None:
                    pieces[index] = piece
                    on_done(len(pieces))
            if len(pieces) == before:
                time.sleep(POLL_S)
        return [pieces[index] for index in range(len(names))]

    def save_state(self, name: str, state: Piece) -> None:
        """Keep the state of an unfinished piece, in place of what was kept under that name."""
        # No lock: each state is a whole file of a computation whose bits are given, so that it does not
        # matter whose is written last.
        self._write_piece(self._folder / f"{name}.npz", state)

    def load_state(self, name: str) -> Piece | None:
        """The state last saved under a name; ``None`` if there is none that can be read."""
        return _read(self._folder / f"{name}.npz")

    def delete_state(self, name: str) -> None:
        """Forget what was saved under a name."""
        (self._folder / f"{name}.npz").unlink(missing_ok=True)

    def _take(self, name: str, compute: Callable[[], Piece]) -> Piece | None:
        """A piece from its file, or computed; ``None`` while another worker holds it."""
        if not self._anew and self._result.exists():
            raise Finished
        if not self._folder.exists():  # removed: another worker has finished, or the whole store is gone
            return compute()
        file = self._folder / f"{name}.npz"
        # Read without the lock first: a file that exists is complete, and after a restart most exist.
        piece = _read(file)
        if piece is not None:
            return piece
        lock = self._lock(name)
        try:
            lock.acquire(timeout=0)
        except Busy:
            return None
        except FileNotFoundError:  # with the folder, just now
            return compute()
        with lock:
            piece = _read(file)  # another worker may have finished it meanwhile
            if piece is None:
                piece = compute()
                self._write_piece(file, piece)
            return piece

    def _lock(self, name: str) -> Lock:
        # Lock files stay until the folder goes: there is nothing to gain by removing one.
        return Lock(self._folder / f"{name}.lock")

    def _write_first(self, file: Path, content: bytes) -> None:
        """Write a file unless there is one: where locks do not work, several workers decide at once."""
        if not file.parent.exists():
            return
        ours = file.with_name(f"{file.stem}-{uuid.uuid4().hex}.mine")
        write_bytes(ours, content, within=file.parent)
        try:
            os.link(ours, file)  # of all, one succeeds
        except FileExistsError:
            pass
        except OSError:  # no hard links there
            self._write(file, content)
        finally:
            ours.unlink(missing_ok=True)

    def _write(self, file: Path, content: bytes) -> None:
        """Write a file of the folder; nothing once the folder was removed."""
        if file.parent.exists():  # gone once the result is written: the piece serves its worker alone
            write_bytes(file, content, within=file.parent)

    def _write_piece(self, file: Path, piece: Piece) -> None:
        """Write the arrays of a piece, without a copy of them; nothing once the folder was removed."""
        if not file.parent.exists():
            return
        arrays: dict[str, Any] = dict(piece)
        with replacing(file, within=file.parent) as temporary:
            with temporary.open("wb") as out:
                np.savez(out, **arrays)
            seal(temporary)  # a zip archive may have something behind its end


def _decision(file: Path) -> dict[str, Any] | None:
    """What was decided; ``None`` if it cannot be read.

    Raises:
        OSError: If there is no file.
    """
    try:
        found = parsed(file.read_bytes().decode())
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _read(file: Path) -> Piece | None:
    """The piece in a file; ``None`` if there is none, or a damaged disk spoilt it."""
    try:
        check(file)
        with file.open("rb") as source, np.load(source, allow_pickle=False) as content:
            return {name: content[name] for name in content.files}
    except Exception:  # a flipped bit may be an error of any kind, from EOFError to "encrypted"
        return None  # computed again, which costs less than the whole task
