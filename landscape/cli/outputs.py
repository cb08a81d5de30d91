"""Where a command writes: checked before it works for hours."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from landscape.errors import InputError

__all__ = ["check_file", "check_folder"]


def check_file(flag: str, path: Path | None, endings: Sequence[str] = ()) -> None:
    """Raise unless a file can be written there; nothing is written.

    Args:
        flag: The option, for the sentence.
        path: What it says; ``None`` if it was not given.
        endings: What the name may end in, if not in anything.

    Raises:
        InputError: If it is a folder, or lies in none that can be written to.
    """
    if path is None:
        return
    if str(path) in ("", ".") or _is_folder(path):
        raise InputError(
            f"{flag} must name a file, and '{path}' is a folder; give one such as '{path / 'result'}'."
        )
    if endings and path.suffix.lower() not in endings:
        raise InputError(f"{flag} must end in {' or '.join(endings)}; got '{path}'.")
    _check_above(flag, path)


def check_folder(flag: str, path: Path | None) -> None:
    """Raise unless a folder is there or can be made.

    Raises:
        InputError: If a file is there, or it lies in no folder that can be written to.
    """
    if path is None:
        return
    if _is_there(path) and not _is_folder(path):
        raise InputError(f"{flag} must name a folder, and '{path}' is a file; give another.")
    _check_above(flag, path)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _check_above(flag: str, path: Path) -> None:
    """Raise unless the nearest folder that is there can be written to."""
    try:
        path.absolute().stat()
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:  # a name too long, or with a character that no name has
        if not isinstance(error, NotADirectoryError | PermissionError):
            raise InputError(f"{flag} cannot be '{str(path)[:80]}': no file can have such a name.") from None
    home = next((p for p in (path.absolute(), *path.absolute().parents) if _is_there(p)), Path())
    if home == path.absolute() and not home.is_dir():
        return
    if not home.is_dir():
        raise InputError(f"{flag} cannot be '{path}': '{home}' is a file, not a folder.")
    if not os.access(home, os.W_OK):
        raise InputError(f"{flag} cannot be '{path}': '{home}' cannot be written to.")
