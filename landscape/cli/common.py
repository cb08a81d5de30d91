"""What commands have in common: the first sentence of their help, options of several, and the guard."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Annotated

import typer

__all__ = ["OF_SCOPE", "Guard", "NotInstalled", "ZooName", "headline"]

Guard = Callable[[], AbstractContextManager[None]]
"""Turns errors into sentences and exit statuses."""

NotInstalled = Annotated[
    list[str] | None,
    typer.Option(help="An analysis that is not installed, package.module:attribute; repeatable."),
]

ZooName = Annotated[
    str | None,
    typer.Option(help="Of a store of several manifests, the zoo of this name. Default: last run."),
]

OF_SCOPE = {"checkpoint": "a checkpoint", "pair": "two checkpoints", "group": "some checkpoints"}
"""What a command looks at, by scope; a table is no file that a command could be given."""


def headline(title: str, scope: str) -> str:
    """The first sentence of a command's help.

    Example:
        >>> headline("Hessian spectrum", "checkpoint")
        'Hessian spectrum of a checkpoint.'
    """
    return f"{title} of {OF_SCOPE[scope]}."
