"""``landscape scan DIR``: what checkpoints a directory holds, without running anything in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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

_FEW = 3


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
            for line in _skipped(zoo.skipped):
                say(line)
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
    """The checkpoints, with what differs between them; what is the same of all is said once."""
    from rich.table import Table

    from landscape.cli.display import cell
    from landscape.zoo.checkpoint import without_ending

    if not zoo.models:
        return
    models = zoo.spec.models
    facts = [{**m.tags, **m.metrics} for m in models]
    alike = {} if len(models) == 1 else {k: v for k, v in facts[0].items() if _everywhere(k, v, facts)}
    table = Table(box=None, pad_edge=False)
    runs = any(m.run and not m.name.startswith(m.run) for m in models)
    files = any(m.name != without_ending(m.shown).replace("/", "-") for m in models)
    for heading in ("model", "group", *(["run"] * runs), "seed", "facts", *(["file"] * files)):
        table.add_column(heading, overflow="fold")
    for model, own in zip(models, facts, strict=True):
        seed = "" if model.seed is None else str(model.seed)
        said = _said({k: v for k, v in own.items() if k not in alike})
        row = (model.name, model.group, *([model.run] * runs), seed, said, *([model.shown] * files))
        table.add_row(*map(cell, row))
    console.print(table)
    if alike:
        console.print(cell(f"all: {_said(alike)}", None), soft_wrap=True)


def _everywhere(name: str, value: object, facts: Sequence[Mapping[str, object]]) -> bool:
    return all(name in own and own[name] == value for own in facts)


def _said(facts: Mapping[str, Any]) -> str:
    from landscape.cli.display import number

    return ", ".join(f"{k} {number(v)}" for k, v in facts.items())


def _skipped(skipped: Mapping[str, str]) -> Iterator[str]:
    """What was left out and why; of second names of one file, a line for all where there are many."""
    from landscape.zoo.layouts.scan import TWIN

    twins = [path for path, reason in skipped.items() if reason.startswith(TWIN)]
    few = len(twins) <= _FEW
    for path, reason in skipped.items():
        if few or path not in twins:
            yield f"skipped {path}: {reason}"
    if not few:
        yield f"skipped {len(twins)} files that are the same as others: {', '.join(twins[:_FEW])}, ..."


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
