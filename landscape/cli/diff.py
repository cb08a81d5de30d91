"""``landscape diff STORE A B``: how two models, or two groups, of a store differ."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from landscape.cli.common import Guard, NotInstalled, ZooName
from landscape.cli.outputs import check_file
from landscape.cli.stores import complete_model

if TYPE_CHECKING:
    from rich.table import Table

    from landscape.reporting import tables

__all__ = ["add_diff"]

_CHANGES = ("section", "a", "b", "b − a", "95 % interval", "strength")
_LAYERS = ("change", "clear", "largest in", "a", "b", "95 % interval", "CKA")


def add_diff(app: typer.Typer, guarded: Guard) -> None:
    """Add the command."""

    @app.command()
    def diff(
        store: Annotated[Path, typer.Argument(help="Folder of the results.")],
        a: Annotated[
            str,
            typer.Argument(
                help="A model, a group, or a pattern such as 'vit-*'.", autocompletion=complete_model
            ),
        ],
        b: Annotated[
            str, typer.Argument(help="Another; differences are B − A.", autocompletion=complete_model)
        ],
        output: Annotated[
            Path | None, typer.Option("--output", "-o", help="Also a page, such as diff.html.")
        ] = None,
        rows: Annotated[int, typer.Option(help="Lines of each table.", min=1)] = 20,
        analysis: NotInstalled = None,
        zoo: ZooName = None,
    ) -> None:
        """Tell how two models, or groups, differ: numbers, layers and examples, the clearest first."""
        with guarded():
            from rich.console import Console

            import landscape
            from landscape.cli.display import ProgressBar
            from landscape.reporting.diff import page

            check_file("--output", output, (".html", ".htm"))
            console = Console()
            say = ProgressBar(console).say
            found = landscape.diff(store, a, b, analyses=analysis or (), zoo=zoo)
            say(f"a: {a} ({len(found.a.models)}), b: {b} ({len(found.b.models)})")
            for text in found.sentences():
                say(text)
            parts: list[tuple[tables.Table, Sequence[str]]] = [(page.change_table(found), _CHANGES)]
            parts += [(page.layer_table(found), _LAYERS)] if found.layers else []
            parts += [(page.example_table(found), ())] if found.examples else []
            for table, columns in parts:
                if table.rows:
                    say("")
                    console.print(_shown(table, columns, rows), highlight=False)
            if output is not None:
                say("")
                say(f"page: {found.save(output, analysis or ())}")


def _shown(table: tables.Table, columns: Sequence[str], rows: int) -> Table:
    """A table of the report for a terminal: some of its columns, and its first rows."""
    from rich.table import Table

    from landscape.cli.display import cell

    kept = [i for i, c in enumerate(table.columns) if not columns or c.label in columns]
    shown = Table(table.head, box=None, pad_edge=False)
    for i in kept:
        shown.add_column(table.columns[i].title, justify="right" if table.numeric[i] else "left")
    for row in table.rows[:rows]:
        shown.add_row(cell(row.head), *(cell(row.cells[i].text) for i in kept))
    if len(table.rows) > rows:
        shown.add_row(cell(f"and {len(table.rows) - rows} more"))
    return shown
