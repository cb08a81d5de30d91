"""``landscape generalisation TABLE_OR_STORE...``: every number of the models against an outcome."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from landscape.cli.common import Guard
from landscape.cli.outputs import check_file
from landscape.errors import InputError, one_line

__all__ = ["add_generalisation"]


def add_generalisation(app: typer.Typer, guarded: Guard) -> None:
    """Add the command."""

    @app.command()
    def generalisation(
        table: Annotated[
            list[Path],
            typer.Argument(
                help="A .csv file, a row a model, or the folder of a store; or outputs of several studies."
            ),
        ],
        outcome: Annotated[
            str, typer.Option(help="Column to be explained. Default: the accuracy on held-out examples.")
        ] = "",
        setting: Annotated[
            list[str] | None,
            typer.Option(help="A column that says how models were trained; repeatable. Default: found."),
        ] = None,
        metric: Annotated[
            list[str] | None, typer.Option(help="Columns to rank, names or patterns; repeatable.")
        ] = None,
        output: Annotated[
            Path | None, typer.Option("--output", "-o", help="A .csv file of all rank correlations.")
        ] = None,
    ) -> None:
        """Rank every number of a table of models by how it goes with an outcome (Jiang et al. 2020)."""
        with guarded():
            import pandas as pd
            from rich.console import Console

            import landscape
            from landscape.cli.display import ProgressBar, metric_table
            from landscape.export.pooled import RESULTS, pooled
            from landscape.store.files import write_bytes

            check_file("--output", output)
            first = table[0]
            if len(table) > 1 or (first / RESULTS).is_dir():
                columns = pooled(table)
            elif first.is_dir():
                columns = landscape.table(first)
            else:
                try:
                    columns = pd.read_csv(first)
                except (OSError, ValueError) as error:
                    raise InputError(
                        f"{first} is neither the folder of a store nor a .csv file that can be read:"
                        f" {one_line(error)}."
                    ) from None
            analysis = landscape.analyses()["generalisation"]
            options = {"settings": tuple(setting or ()), "metrics": tuple(metric or ("*",))}
            ds = analysis(columns, outcome=outcome, **options)
            console = Console()
            console.print(metric_table(analysis.summary(ds)), highlight=False)
            if output is not None:
                ranked = ds[[name for name in ds if ds[name].dims == ("metric",)]].to_dataframe()
                write_bytes(output, ranked.to_csv().encode("utf-8", "replace"))
                ProgressBar(console).say(f"table: {output}")
