"""``landscape scan DIR``: what checkpoints a directory holds, without running anything in it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from landscape.cli.common import Guard
from landscape.cli.directory import (
    Allow,
    Crop,
    Data,
    Examples,
    GroupBy,
    Loss,
    Mean,
    Model,
    Size,
    Split,
    Std,
    Tokenizer,
    wishes_of,
    zoo_of,
)

if TYPE_CHECKING:
    from rich.console import Console

    from landscape.zoo import Zoo

__all__ = ["add_scan", "print_groups"]


def add_scan(app: typer.Typer, guarded: Guard) -> None:
    """Add the command."""

    @app.command()
    def scan(
        context: typer.Context,
        directory: Annotated[Path, typer.Argument(help="Where the checkpoints are.")],
        write_manifest: Annotated[
            bool,
            typer.Option("--write-manifest", help="Write DIRECTORY/zoo.toml, with what is known filled in."),
        ] = False,
        model: Model = None,
        data: Data = None,
        examples: Examples = None,
        size: Size = None,
        crop: Crop = None,
        mean: Mean = None,
        std: Std = None,
        tokenizer: Tokenizer = None,
        split: Split = None,
        group_by: GroupBy = "name",
        loss: Loss = None,
        allow: Allow = None,
    ) -> None:
        """Tell what checkpoints a directory holds, without running anything in them."""
        with guarded():
            from rich.console import Console

            from landscape.cli.display import ProgressBar

            console = Console()
            say = ProgressBar(console).say
            zoo = zoo_of(directory, wishes_of(context.params), allow or ())
            _print_models(console, zoo)
            print_groups(console, zoo)
            for path, reason in zoo.skipped.items():
                say(f"skipped {path}: {reason}")
            counts = Counter(m.layout for m in zoo.spec.models)
            layouts = f" ({', '.join(f'{n} {name}' for name, n in counts.items())})" if counts else ""
            say(f"{len(zoo.models)} checkpoints found in {directory}{layouts}")
            if write_manifest:
                say(f"wrote {zoo.write_manifest(directory / 'zoo.toml')}{_left(zoo)}")


def _left(zoo: Zoo) -> str:
    """What is to be filled in of a manifest."""
    open_ones = ["the model"] if any(m.builder is None for m in zoo.spec.models) else []
    open_ones += ["the data"] if zoo.spec.data is None else []
    return f": now name {' and '.join(open_ones)} in it" if open_ones else ""


def _print_models(console: Console, zoo: Zoo) -> None:
    from rich.table import Table

    from landscape.cli.display import cell, number

    if not zoo.models:
        return
    table = Table(box=None, pad_edge=False)
    runs = any(m.run for m in zoo.spec.models)
    for heading in ("model", "layout", "group", *(["run"] * runs), "seed", "facts", "file"):
        table.add_column(heading, overflow="fold")
    for model in zoo.spec.models:
        seed = "" if model.seed is None else str(model.seed)
        facts = ", ".join(f"{k} {number(v)}" for k, v in {**model.tags, **model.metrics}.items())
        row = (model.name, model.layout, model.group, *([model.run] * runs), seed, facts, model.shown)
        table.add_row(*map(cell, row))
    console.print(table)


def print_groups(console: Console, zoo: Zoo) -> None:
    """Groups with their seeds and times, and what could not be told."""
    from rich.table import Table

    from landscape.cli.display import cell
    from landscape.zoo.draft.overview import overview, untold

    rows = overview(zoo.spec)
    if not rows:
        return
    table = Table("group", "checkpoints", "seeds", "steps", box=None, pad_edge=False)
    for row in rows:
        table.add_row(cell(row.group or "(none)"), str(row.checkpoints), cell(row.seeds), cell(row.steps))
    console.print(table)
    for line in untold(zoo.spec):
        console.print(cell(f"not told: {line}", None), style="yellow", soft_wrap=True)
