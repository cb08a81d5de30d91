"""Free memory: how much a process may still take."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["free_memory"]

_CGROUP = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")


def free_memory(*, unknown: int = 2 << 30) -> int:
    """Free memory in bytes, within the limit of a container; ``unknown`` if the system does not tell.

    What the system holds of files and can drop at once counts as free: on a machine that has been up for a
    while, next to nothing else is.
    """
    free = _available()
    if free is None:
        return unknown
    try:
        limit, used = (int((_CGROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
    except (OSError, ValueError):  # no container, or no limit
        return free
    return max(0, min(free, limit - used + _droppable()))


def _available() -> int | None:
    """What the machine can give without swapping."""
    found = _number(_MEMINFO, "MemAvailable:")
    if found is not None:
        return 1024 * found
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _droppable() -> int:
    """Bytes of files that count as used by a container, though nobody needs them."""
    return _number(_CGROUP / "memory.stat", "inactive_file") or 0


def _number(file: Path, name: str) -> int | None:
    """The number behind a name at the beginning of a line."""
    try:
        words = (line.split() for line in file.read_text().splitlines())
        return next((int(line[1]) for line in words if line and line[0] == name), None)
    except (OSError, ValueError, IndexError):
        return None
