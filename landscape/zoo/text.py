"""Errors as one line of text."""

from __future__ import annotations

import re

__all__ = ["one_line"]

_LONGEST = 400


def one_line(error: BaseException) -> str:
    r"""The text of an error in one line, without colours and without a full stop.

    Example:
        >>> one_line(ValueError("no\n  good."))
        'no good'
    """
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    return " ".join(text.split())[:_LONGEST].rstrip(".")
