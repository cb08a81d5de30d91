"""``landscape show FILES``: what results, or stores, hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from landscape.cli.common import Guard

__all__ = ["add_show"]


def add_show(app: typer.Typer, guarded: Guard) -> None:
    """Add the command."""

    @app.command()
    def show(
        files: Annotated[list[Path], typer.Argument(help="Results, a consolidated zoo.h5, or a store.")],
        group: Annotated[
            str | None, typer.Option(help="Group of a consolidated file, e.g. spectrum/resnet-s0.")
        ] = None,
    ) -> None:
        """Show what result files, or stores, hold."""
        with guarded():
            from rich.console import Console

            import landscape
            from landscape.cli.analyses import describe, groups_in
            from landscape.cli.display import ProgressBar
            from landscape.cli.stores import list_store
            from landscape.store.digest import check

            console = Console()
            say = ProgressBar(console).say
            for file in files:
                if len(files) > 1:
                    say("")
                    say(str(file))
                if file.is_dir():
                    for line in list_store(file):
                        say(line)
                    continue
                ds = landscape.open(file, group)
                if not check(file):
                    say(f"note: '{file}' carries no digest: damage to it may go unnoticed", style="yellow")
                changed = _changed(file, ds.attrs)
                if changed:
                    say(
                        f"note: this result is of older code ({', '.join(changed)} changed since): `landscape"
                        " run --changed redo` computes it again",
                        style="yellow",
                    )
                if not ds.variables and group is None:
                    for name in groups_in(file):
                        say(name)
                else:
                    for part in describe(ds):
                        console.print(part, highlight=False)


def _changed(file: Path, attrs: Mapping[str, Any]) -> tuple[str, ...]:
    """What of a result's code changed by the last run of its store; empty if it lies in none."""
    from landscape.errors import StoreError
    from landscape.store import Store

    if not attrs.get("code"):
        return ()
    folder = file.absolute().parent
    try:
        snapshot = Store(folder if file.name == "zoo.h5" else folder.parent).read_snapshot()
    except StoreError:
        return ()
    if snapshot is None:
        return ()
    zoo = snapshot.holding(str(attrs.get("analysis")), str(attrs.get("key"))) or snapshot
    return zoo.changed(attrs["code"])
