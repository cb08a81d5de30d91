"""The errors a user can meet: one sentence each, saying what was wrong, where, and how to mend it."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable

__all__ = [
    "CheckpointError",
    "InapplicableError",
    "InputError",
    "LandscapeError",
    "SchemaError",
    "StoreError",
    "one_line",
    "reason",
    "said_by_system",
    "short_of_memory",
    "suggest",
]

_LONGEST = 400


class LandscapeError(Exception):
    """Base of every error that landscape raises on purpose."""


class InputError(LandscapeError, ValueError):
    """Something the caller gave cannot be used: a model, data, an option, a manifest."""


class CheckpointError(InputError):
    """A checkpoint file cannot be read, is not trusted, or does not fit the model."""


class InapplicableError(InputError):
    """An analysis does not apply to a model: it has nothing of what the analysis looks at."""


class SchemaError(LandscapeError, ValueError):
    """A dataset does not hold what its schema declares."""


class StoreError(LandscapeError, OSError):
    """A result cannot be written or read."""


def reason(error: BaseException) -> str:
    """Kind and text of an error on one line.

    Example:
        >>> reason(KeyError("x"))
        "KeyError: 'x'"
    """
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def said_by_system(error: BaseException) -> str:
    """The system's word in an error of input or output, without what a library puts around it; may be empty.

    Example:
        >>> said_by_system(OSError(28, "Unable to create file (unable to truncate: errno = 28)"))
        'No space left on device'
        >>> said_by_system(RuntimeError("Can't decrement id ref count (file write failed: errno = 28, ...)"))
        'No space left on device'
        >>> said_by_system(RuntimeError("bad object header"))
        ''
    """
    found = re.search(r"errno = (\d+)", str(error))
    number = getattr(error, "errno", None) or (int(found[1]) if found else 0)
    return os.strerror(number) if number else ""


def suggest(word: str, known: Iterable[str]) -> str:
    """Finish an error sentence about an unknown name: the nearest known one, else all of them.

    Example:
        >>> suggest("spectrm", ["spectrum", "line"])
        "did you mean 'spectrum'?"
        >>> suggest("x", ["spectrum", "line"])
        'known: line, spectrum.'
    """
    names = sorted(known)
    if not names:
        return "there is none."
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(names)}."


def short_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is short, of the machine or of an accelerator.

    Example:
        >>> short_of_memory(MemoryError()), short_of_memory(RuntimeError("CUDA out of memory."))
        (True, True)
        >>> short_of_memory(RuntimeError("no kernel"))
        False
    """
    words = str(error).lower()
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and any(part in words for part in ("out of memory", "can't allocate memory", "not enough memory"))
    )


def one_line(error: BaseException) -> str:
    r"""The text of an error in one line, without colours and without a full stop.

    A long text is cut, unless it is a sentence of ours: what it advises must be there to the last word.

    Example:
        >>> one_line(ValueError("no\n  good."))
        'no good'
    """
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    longest = None if isinstance(error, LandscapeError) else _LONGEST
    return " ".join(text.split())[:longest].rstrip(".")
