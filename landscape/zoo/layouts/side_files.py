"""Files beside checkpoints, read only if they are regular and small: they may hold anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["json_of", "text_of"]

_LARGEST = 64_000_000


def text_of(file: Path | None, largest: int = _LARGEST) -> str | None:
    """The text of a file; ``None`` if there is none, or it is no regular file, too large, or no text.

    Args:
        file: The file.
        largest: Bytes that it may have.
    """
    try:
        if file is None or not file.is_file() or file.stat().st_size > largest:
            return None
        return file.read_text("utf-8")
    except (OSError, ValueError):
        return None


def json_of(file: Path | None) -> dict[str, Any] | None:
    """The JSON object in a file; ``None`` if there is none."""
    text = text_of(file)
    try:
        value = json.loads(text) if text is not None else None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
