"""The group of commands: analyses are listed from the registry's index, and imported when they are called."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from typer.core import TyperCommand, TyperGroup

from landscape.base.registry import discover, find, listed

__all__ = ["analysis_group", "headline"]

Guard = Callable[[], AbstractContextManager[None]]

_OF = {"checkpoint": "a checkpoint", "pair": "two checkpoints", "group": "some checkpoints"}
"""What a command looks at, by scope; a table is no file that a command could be given."""


def headline(title: str, scope: str) -> str:
    """The first sentence of a command's help."""
    return f"{title} of {_OF[scope]}."


def analysis_group(guard: Guard) -> type[TyperGroup]:
    """A class of command group that has a command for each registered analysis of checkpoints.

    To list them takes no import of any: that would take longer than all the rest of ``landscape --help``.

    Args:
        guard: Turns errors into sentences and exit statuses.
    """

    class AnalysisGroup(TyperGroup):  # a context is Any: of click, or of the copy that newer typers hold
        def list_commands(self, ctx: Any) -> list[str]:
            own = super().list_commands(ctx)
            return own + [n for n, e in listed().items() if e.scope in _OF and n not in own]

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            own = super().get_command(ctx, cmd_name)
            if own is not None:
                return own
            entry = listed().get(cmd_name) or discover().get(cmd_name)
            if entry is None or entry.scope not in _OF:
                return None
            return _LaterCommand(cmd_name, headline(entry.title, entry.scope), guard)

    return AnalysisGroup


class _LaterCommand(TyperCommand):
    """A command that is known by name and headline, until it is to read its arguments."""

    def __init__(self, name: str, help: str, guard: Guard) -> None:
        super().__init__(name, help=help, rich_markup_mode=None)
        self._guard = guard

    def make_context(self, *args: Any, **keywords: Any) -> Any:
        from landscape.cli.analyses import command_of

        return command_of(find(str(self.name)), self._guard).make_context(*args, **keywords)
