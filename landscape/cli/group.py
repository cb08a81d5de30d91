"""The group of commands: analyses are listed from the registry's index, and imported when they are called."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from typer.core import TyperCommand, TyperGroup

from landscape.base.registry import discover, find, listed
from landscape.cli.common import OF_SCOPE, Guard, headline

__all__ = ["analysis_group"]

_TRIALS = ("demo", "study")

_ORDER = (
    *("curvature", "surfaces", "connectivity", "similarity", "features", "weights"),
    *("behaviour", "inputs", "posterior"),
)
"""Families of analyses as the README names them; others follow."""


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

        def format_commands(self, ctx: Any, formatter: Any) -> None:
            own = super().list_commands(ctx)
            for title, names in _sections(own):
                found = [
                    (n, c) for n in names if (c := self.get_command(ctx, n)) is not None and not c.hidden
                ]
                if not found:
                    continue
                limit = formatter.width - 6 - max(len(name) for name, _ in found)
                with formatter.section(title):
                    formatter.write_dl([(name, c.get_short_help_str(limit)) for name, c in found])

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            own = super().get_command(ctx, cmd_name)
            if own is not None:
                return own
            entry = listed().get(cmd_name) or discover().get(cmd_name)
            if entry is None or entry.scope not in OF_SCOPE:
                return None
            return _LaterCommand(cmd_name, headline(entry.title, entry.scope), guard)

    return AnalysisGroup


def _sections(own: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """The commands by what they are for: zoos and stores, then a section for each family of analyses."""
    yield "Zoos and their results", [n for n in own if n not in _TRIALS]
    yield "Demo and studies", [n for n in own if n in _TRIALS]
    families: dict[str, list[str]] = {}
    for name, entry in listed().items():
        if entry.scope in OF_SCOPE and name not in own:
            parts = entry.module.split(".")
            families.setdefault(parts[2] if len(parts) > 2 else "plug-ins", []).append(name)
    for family in sorted(families, key=lambda f: (_ORDER.index(f) if f in _ORDER else len(_ORDER), f)):
        yield f"Analyses of checkpoints: {family}", families[family]


class _LaterCommand(TyperCommand):
    """A command that is known by name and headline, until it is to read its arguments."""

    def __init__(self, name: str, help: str, guard: Guard) -> None:
        super().__init__(name, help=help, rich_markup_mode=None)
        self._guard = guard

    def make_context(self, *args: Any, **keywords: Any) -> Any:
        # Late: it takes pydantic's and rich's larger halves, which a listing has no use for.
        from landscape.cli.analyses import command_of

        return command_of(find(str(self.name)), self._guard).make_context(*args, **keywords)
