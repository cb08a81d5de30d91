"""Locks of the operating system on files, which end with their process; and file systems that have none.

On a file system without locks nobody is kept from anything: whoever uses them must come to right results
without, and does double work at worst.
"""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import time
from pathlib import Path
from types import TracebackType
from typing import Any

__all__ = ["Busy", "Lock", "holder"]

_POLL_S = 0.05
# What systems say where locks do not work at all: ENOLCK is NFS without its lock service, the others file
# systems that never had any.
_WITHOUT = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, getattr(errno, "ENOTSUP", errno.EOPNOTSUPP)}
_TAKEN = {errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK}
_held: set[int] = set()


class Busy(TimeoutError):  # noqa: N818 - what a lock is, and no error
    """Another process, or another thread, has the lock."""


class Lock:
    """A lock on a file, which is made and stays; within it, the file says whose it is.

    Args:
        path: The file, in a folder that is there. It is no link.

    Attributes:
        path: As given.
        missing: Why there is no lock although it was acquired: the file system has none; empty otherwise.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.missing = ""
        self._file: int | None = None
        self._other: Any = None

    def acquire(self, timeout: float = -1) -> Lock:
        """Take the lock.

        Args:
            timeout: Seconds to wait; negative waits for ever.

        Raises:
            Busy: If another has it for so long.
            OSError: If the file cannot be made or opened.
        """
        start = time.monotonic()
        while not self._try():
            if 0 <= timeout <= time.monotonic() - start:
                raise Busy(f"'{self.path}' is locked by another process.")
            time.sleep(_POLL_S)
        return self

    def release(self) -> None:
        """Let go of it; the file stays."""
        file, self._file = self._file, None
        if file is not None:
            _held.discard(file)
            os.close(file)
        if self._other is not None:
            self._other.release()
            self._other = None

    def __enter__(self) -> Lock:
        """Take it, unless it was taken."""
        return self if self._file is not None or self._other is not None or self.missing else self.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of it."""
        self.release()

    def _try(self) -> bool:
        if os.name == "nt":
            return self._try_on_windows()
        import fcntl

        # A link would lead the lock, and the words in the file, to wherever it points.
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        file = os.open(self.path, flags, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not self._is_there(file):  # removed by whoever had it: others lock a new file of that name
                os.close(file)
                return False
        except OSError as error:
            os.close(file)
            if error.errno in _TAKEN:
                return False
            if error.errno in _WITHOUT:
                self.missing = error.strerror or "no locks"
                return True
            raise
        self._file = file
        _held.add(file)
        with contextlib.suppress(OSError):  # a full disk: who waits is told less
            os.ftruncate(file, 0)
            os.pwrite(file, f"{os.getpid()} {platform.node() or 'host'}\n".encode(), 0)
        return True

    def _is_there(self, file: int) -> bool:
        try:
            ours, theirs = os.fstat(file), self.path.lstat()
        except FileNotFoundError:
            return False
        return (ours.st_ino, ours.st_dev) == (theirs.st_ino, theirs.st_dev)

    def _try_on_windows(self) -> bool:
        from filelock import FileLock, Timeout

        lock = FileLock(self.path, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            return False
        self._other = lock
        return True


def holder(path: Path) -> str:
    """Who has a lock, in words; what the file says, which may be out of date."""
    try:
        number, _, host = path.read_text("utf-8").strip().partition(" ")
        pid = int(number)
    except (OSError, ValueError):
        return "another process"
    where = "" if host == platform.node() else f" on '{host}'"
    return f"process {pid}{where}"


def _after_fork() -> None:
    """A child has the files of its parent open, and with them its locks, for as long as it lives."""
    for file in _held:
        with contextlib.suppress(OSError):
            os.close(file)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
