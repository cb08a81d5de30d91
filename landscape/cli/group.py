"""The group of commands: analyses are listed from the registry's index, and imported when they are called."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup

from landscape.base.registry import discover, find, listed
from landscape.cli.common import OF_SCOPE, Guard, headline

__all__ = ["analysis_group"]


def analysis_group(guard: Guard) -> type[TyperGroup]:
    """A class of command group that has a command for each registered analysis of checkpoints.

    To list them takes no import of any: that would take longer than all the rest of ``landscape --help``.

    Args:
        guard: Turns errors into sentences and exit statuses.
    """

    class AnalysisGroup(TyperGroup):  # a context is Any: of click, or of the copy that newer typers hold
        def list_commands(self, ctx: Any) -> list[str]:
            own = super().list_commands(ctx)
            return own + [n for n, e in listed().items() if e.scope in OF_SCOPE and n not in own]

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            own = super().get_command(ctx, cmd_name)
            if own is not None:
                return own
            entry = listed().get(cmd_name) or discover().get(cmd_name)
            if entry is None or entry.scope not in OF_SCOPE:
                return None
            return _LaterCommand(cmd_name, headline(entry.title, entry.scope), guard)

    return AnalysisGroup


class _LaterCommand(TyperCommand):
    """A command that is known by name and headline, until it is to read its arguments."""

    def __init__(self, name: str, help: str, guard: Guard) -> None:
        super().__init__(name, help=help, rich_markup_mode=None)
        self._guard = guard

    def make_context(self, *args: Any, **keywords: Any) -> Any:
        # Late: it takes pydantic's and rich's larger halves, which a listing has no use for.
        from landscape.cli.analyses import command_of

        return command_of(find(str(self.name)), self._guard).make_context(*args, **keywords)
