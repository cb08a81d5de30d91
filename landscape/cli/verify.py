"""``landscape verify STORE``: is every file of a store what was written?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from landscape.cli.common import Guard

__all__ = ["add_verify"]


def add_verify(app: typer.Typer, guarded: Guard) -> None:
    """Add the command."""

    @app.command()
    def verify(
        store: Annotated[Path, typer.Argument(help="Folder of the results.")],
        repair: Annotated[
            bool,
            typer.Option(
                "--repair", help="Set damaged files aside (NAME.damaged); the next run computes them again."
            ),
        ] = False,
    ) -> None:
        """Check every file of a store against its digest; the exit status is 1 if one is damaged."""
        with guarded():
            from rich.console import Console

            from landscape.cli.display import ProgressBar
            from landscape.store.verify import set_aside
            from landscape.store.verify import verify as check_all

            with ProgressBar(Console(stderr=True)) as bar:

                def tell(done: int, total: int, path: Path) -> None:
                    if done == 0:
                        bar.begin(total, "files")
                    bar.update(done, path.name)

                verdicts = check_all(store, tell)
            say = ProgressBar(Console()).say
            damaged = [v for v in verdicts if v.fault]
            for verdict in damaged:
                say(verdict.fault, style="red")
                again = f"; `landscape run` will do {verdict.subject} again" if verdict.subject else ""
                if repair:
                    say(f"  set aside as '{set_aside(verdict.path).name}'{again}")
                elif again:
                    say(f"  set aside with --repair{again}")
            older = sum(not v.has_digest and not v.fault for v in verdicts)
            if older:
                say(
                    f"{older} files carry no digest (of an older version, or changed by another program):"
                    " they can be read, and single flipped bits in them would not be noticed",
                    style="yellow",
                )
            say(f"{len(verdicts)} files checked, {len(damaged)} damaged")
            if damaged:
                raise typer.Exit(1)
