"""Looking into pickles without running them: which names would loading import?"""

from __future__ import annotations

import pickletools
import re
import zipfile
from pathlib import Path
from typing import Any

__all__ = ["unsafe_globals"]

# What every tensor pickle names; torch's own weights_only loader allows these.
_HARMLESS = re.compile(
    r"collections\.(OrderedDict|Counter)|torch\._utils\._rebuild\w*|torch\._tensor\._rebuild\w*"
    r"|torch(\.cuda|\.storage)?\.\w*Storage|torch\.(Size|device|Tensor|dtype)"
    r"|torch\.nn\.parameter\.Parameter|torch\.serialization\._get_layout|_codecs\.encode"
    r"|builtins\.(bytearray|set|complex)|__builtin__\.set"
)
_STRINGS = {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE"}
_PUTS = {"PUT", "BINPUT", "LONG_BINPUT"}
_GETS = {"GET", "BINGET", "LONG_BINGET"}
_LEGACY_PICKLES = 5  # magic number, protocol, system, object, storage keys; then raw tensors


def unsafe_globals(path: Path) -> list[str]:
    """Names that unpickling a checkpoint would import, beyond those that tensors need.

    Args:
        path: A file of ``torch.save`` in the zip or the legacy format, or a plain pickle.

    Returns:
        Dotted names, sorted. A damaged file gives the names found before the damage.
    """
    import torch

    try:  # knows exactly what the loader allows, but no legacy file, nor pickles of protocol 4 or 5
        return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception:
        return _scanned(path)


def _scanned(path: Path) -> list[str]:
    """The same, of any pickle."""
    names: set[str] = set()
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for entry in archive.namelist():
                    if entry.endswith(".pkl"):
                        names |= _globals_in(archive.read(entry))
        else:
            names = _globals_in(path.read_bytes())
    except (OSError, zipfile.BadZipFile, RuntimeError):
        pass
    return sorted(n for n in names if not _HARMLESS.fullmatch(n))


def _globals_in(data: bytes) -> set[str]:
    """Names in up to five pickles laid end to end."""
    names: set[str] = set()
    start = 0
    for _ in range(_LEGACY_PICKLES):
        end = _collect(data[start:], names)
        if end is None:
            break
        start += end
    return names


def _collect(data: bytes, names: set[str]) -> int | None:
    """Add the names in the first pickle of ``data``; return its length, ``None`` if it has no end.

    ``STACK_GLOBAL`` takes its two parts from the stack: they are the last two strings pushed.
    """
    strings: list[str] = []
    memo: dict[Any, str] = {}
    try:
        for operation, argument, position in pickletools.genops(data):
            name = operation.name
            if name in ("GLOBAL", "INST"):
                names.add(str(argument).replace(" ", "."))
            elif name == "STACK_GLOBAL":
                names.add(".".join(strings[-2:]))
            elif name in _STRINGS:
                strings.append(str(argument))
            elif name == "MEMOIZE" and strings:
                memo[len(memo)] = strings[-1]
            elif name in _PUTS and strings:
                memo[argument] = strings[-1]
            elif name in _GETS and argument in memo:
                strings.append(memo[argument])
            elif name == "STOP":
                return int(position or 0) + 1
    except (ValueError, UnicodeDecodeError):  # damaged, or the raw tensors begin here
        return None
    return None
