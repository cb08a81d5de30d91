"""``landscape figure`` and ``landscape export``: what a store holds, for papers and other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from landscape.cli.common import Guard
from landscape.cli.outputs import check_file
from landscape.cli.stores import complete_label, list_figures
from landscape.errors import InputError

__all__ = ["add_export", "add_figure"]


def add_figure(app: typer.Typer, guarded: Guard) -> None:
    """Add the command."""

    @app.command()
    def figure(
        store: Annotated[Path, typer.Argument(help="Folder of the results.")],
        analysis: Annotated[
            str | None,
            typer.Option(
                "--analysis",
                "-a",
                help="Which, by label or name. Default: list all figures.",
                autocompletion=complete_label,
            ),
        ] = None,
        output: Annotated[
            Path | None,
            typer.Option(
                "--output",
                "-o",
                help="A .pdf, .svg, .png or .eps file, or a .vtk file of a surface. Default: list figures.",
            ),
        ] = None,
        name: Annotated[
            str | None,
            typer.Option(
                "--figure", "-f", help="Only the figure of this name; for .vtk the field to rise by."
            ),
        ] = None,
        panels: Annotated[
            str | None,
            typer.Option(
                help="Figures to set side by side as (a), (b), ...: 'loss,gradient' of --analysis, or"
                " 'line:loss,spectrum'."
            ),
        ] = None,
        models: Annotated[
            list[str] | None, typer.Option(help="Only models like this, such as 'vit-*'; repeatable.")
        ] = None,
        by: Annotated[
            str | None, typer.Option(help="Medians and bands over the models of each group, seed or tag.")
        ] = None,
        column: Annotated[
            str | None,
            typer.Option(
                help="Width: single (3.25 in) or double (6.75 in). Default: single; double for panels."
            ),
        ] = None,
    ) -> None:
        """Draw figures of a store for a paper: vector graphics with embedded fonts; or for ParaView."""
        with guarded():
            from rich.console import Console

            from landscape.cli.display import ProgressBar

            say = ProgressBar(Console()).say
            check_file("--output", output)
            if panels is not None:
                from landscape.export.figures import save_figures
                from landscape.export.panels import panels_of_store

                if output is None or name is not None:
                    wrong = "leave --figure out" if output else "say with --output where to write"
                    raise InputError(f"--panels makes one figure of several: {wrong}.")
                wanted = panels.split(",")
                spec, palette = panels_of_store(store, wanted, analysis=analysis, models=models or (), by=by)
                for path in save_figures([spec], palette, output, column or "double"):
                    say(f"figure: {path}")
                say(f"caption: {spec.whole_caption}")
                return
            if output is None or analysis is None:
                for line in list_figures(store, analysis, models or (), by):
                    say(line)
                return
            if output.suffix.lower() == ".vtk":
                from landscape.export.surfaces import save_fields

                if by is not None:
                    raise InputError("a .vtk file holds the surface of one model: leave --by out.")
                for path in save_fields(store, analysis, output, height=name or "loss", models=models or ()):
                    say(f"surface: {path}")
                return
            from landscape.export.figures import figures_of_store, save_figures

            specs, palette = figures_of_store(store, analysis, figure=name, models=models or (), by=by)
            for path in save_figures(specs, palette, output, column or "single"):
                say(f"figure: {path}")


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
