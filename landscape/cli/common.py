"""What commands have in common: the first sentence of their help, and the guard that they run under."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

__all__ = ["OF_SCOPE", "Guard", "headline"]

Guard = Callable[[], AbstractContextManager[None]]
"""Turns errors into sentences and exit statuses."""

OF_SCOPE = {"checkpoint": "a checkpoint", "pair": "two checkpoints", "group": "some checkpoints"}
"""What a command looks at, by scope; a table is no file that a command could be given."""


def headline(title: str, scope: str) -> str:
    """The first sentence of a command's help.

    Example:
        >>> headline("Hessian spectrum", "checkpoint")
        'Hessian spectrum of a checkpoint.'
    """
    return f"{title} of {OF_SCOPE[scope]}."
