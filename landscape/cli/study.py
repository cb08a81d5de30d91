"""``landscape study SCRIPT``: run the study that a script declares."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from landscape.cli.common import Guard
from landscape.cli.outputs import check_folder
from landscape.errors import InputError

__all__ = ["add_study"]


def add_study(app: typer.Typer, guarded: Guard) -> None:
    """Add the command."""

    @app.command()
    def study(
        script: Annotated[Path, typer.Argument(help="A Python file that declares STUDY.")],
        quick: Annotated[
            bool, typer.Option("--quick", help="--size quick: some minutes; for tests, not for findings.")
        ] = False,
        full: Annotated[
            bool, typer.Option("--full", help="--size full: the paper's setting; needs a GPU.")
        ] = False,
        size: Annotated[
            str | None, typer.Option(help="One of the sizes of the study. Default: default.")
        ] = None,
        out: Annotated[
            Path | None, typer.Option(help="Results. Default: landscape-studies/SCRIPT-SIZE.")
        ] = None,
        checkpoints: Annotated[
            Path | None, typer.Option(help="Trained weights. Default: OUT/checkpoints.")
        ] = None,
        figures: Annotated[Path | None, typer.Option(help="Pictures. Default: OUT/figures.")] = None,
        seeds: Annotated[
            int | None, typer.Option(help="Number of training seeds. Default: the study's; quick: 3.")
        ] = None,
        more_seeds: Annotated[
            int | None,
            typer.Option(help="Seeds of a second look, if a claim is nearly decided at the first."),
        ] = None,
        jobs: Annotated[int, typer.Option("--jobs", "-j", help="Worker processes.", min=1)] = 2,
        device: Annotated[str | None, typer.Option(help="Such as cuda:0. Default: the CPU.")] = None,
        data: Annotated[Path | None, typer.Option(help="Folder of CIFAR, for --full. Default: data.")] = None,
    ) -> None:
        """Train models, analyse them, and say which findings of a paper hold; resumes by itself."""
        with guarded():
            from landscape.imports import importing_from, resolve

            sizes = [name for name, on in (("quick", quick), ("full", full), (size, size)) if on]
            if len(sizes) > 1:
                raise InputError("a study has one size at a time: give one of --quick, --full and --size.")
            for flag, folder in (("--out", out), ("--checkpoints", checkpoints), ("--figures", figures)):
                check_folder(flag, folder)
            if not script.is_file():
                raise InputError(f"there is no script '{script}'; name a Python file that declares STUDY.")
            # By name: the framework of studies lies above the command line, which must not import it.
            folder = script.resolve().parent
            found = resolve(f"{script.stem}:STUDY", "study", folder)
            with importing_from(folder):  # also in worker processes, which take over the path
                found.run(
                    size=sizes[0] if sizes else "default",
                    out=out,
                    checkpoints=checkpoints,
                    figures=figures,
                    seeds=seeds,
                    more_seeds=more_seeds,
                    jobs=jobs,
                    device=device,
                    data=data,
                )
