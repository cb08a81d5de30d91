"""``landscape export STORE -o FILE``: a whole store for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from landscape.cli.common import Guard
from landscape.cli.outputs import check_file

__all__ = ["add_export"]


def add_export(app: typer.Typer, guarded: Guard) -> None:
    """Add the command."""

    @app.command()
    def export(
        store: Annotated[Path, typer.Argument(help="Folder of the results.")],
        output: Annotated[
            Path,
            typer.Option(
                "--output",
                "-o",
                help=".zarr or .nc: all results; .csv or .parquet: a row per model; .json: a research object"
                " crate, to cite and publish the store with.",
            ),
        ],
    ) -> None:
        """Write a store for other programs: zarr, CSV, Parquet, a crate."""
        from landscape.export.elsewhere import ENDINGS, export_store

        with guarded():
            if output.suffix.lower() != ".zarr":
                check_file("--output", output, ENDINGS)
            typer.echo(f"export: {export_store(store, output)}")
