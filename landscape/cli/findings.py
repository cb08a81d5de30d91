"""``landscape findings STORE``: two groups of models compared in every number."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from landscape.cli.common import Guard
from landscape.cli.outputs import check_file

__all__ = ["add_findings"]

_FIRST = 20


def add_findings(app: typer.Typer, guarded: Guard) -> None:
    """Add the command."""

    @app.command()
    def findings(
        store: Annotated[Path, typer.Argument(help="Folder of the results.")],
        outcome: Annotated[
            str | None,
            typer.Option(help="The number to be explained, such as 'test_accuracy'. Default: test accuracy."),
        ] = None,
        group: Annotated[
            list[str] | None,
            typer.Option(help="Two groups to compare: twice. Default: those whose outcomes differ most."),
        ] = None,
        zoo: Annotated[
            str | None, typer.Option(help="Which zoo, of a store that several manifests share.")
        ] = None,
        output: Annotated[
            Path | None, typer.Option("--output", "-o", help="A .csv file of the whole table.")
        ] = None,
    ) -> None:
        """Compare two groups of models in every number, and say what goes with an outcome."""
        with guarded():
            from rich.console import Console
            from rich.table import Table

            from landscape.cli.display import ProgressBar, cell
            from landscape.export.findings import found_in, frame_of, model_table
            from landscape.export.sentences import sentences, short
            from landscape.store.contents import read_contents
            from landscape.store.files import write_bytes

            check_file("--output", output)
            found = found_in(model_table(read_contents(store, zoo)), outcome, group or None)
            console = Console()
            say = ProgressBar(console).say
            for sentence in sentences(found):
                say(sentence)
            table = Table("number", "g", "95 %", "q", "τ", "ψ", box=None, pad_edge=False)
            for row in found.rows[:_FIRST]:
                d, a = row.difference, row.association
                interval = f"{short(d.low)} to {short(d.high)}"
                numbers = (short(d.g), interval, short(row.q), short(a.tau), short(a.psi))
                table.add_row(cell(row.metric.said), *map(cell, numbers))
            console.print(table, highlight=False)
            if len(found.rows) > _FIRST:
                say(f"the {_FIRST} largest of {len(found.rows)}; -o FILE.csv writes all of them")
            if output is not None:
                write_bytes(output, frame_of(found).to_csv().encode("utf-8", "replace"))
                say(f"table: {output}")
