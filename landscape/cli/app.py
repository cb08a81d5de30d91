"""The command line. Commands for single analyses are derived from the registry.

Exit status: 0 all done, 1 some tasks failed (listed, the rest done), 2 unusable input, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import landscape
from landscape._workers import follows, launched
from landscape.cli.common import NotInstalled, ZooName
from landscape.cli.diff import add_diff
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
    quick_first,
    zoo_to_run,
)
from landscape.cli.figure import add_export, add_figure
from landscape.cli.findings import add_findings
from landscape.cli.generalisation import add_generalisation
from landscape.cli.group import analysis_group
from landscape.cli.interrupt import INTERRUPTED, started
from landscape.cli.merge import add_merge
from landscape.cli.outputs import check_file, check_folder
from landscape.cli.scan import add_scan, print_groups
from landscape.cli.show import add_show
from landscape.cli.study import add_study
from landscape.cli.verify import add_verify
from landscape.cli.watch import watched
from landscape.errors import InputError, LandscapeError, StoreError, one_line, reason, short_of_memory
from landscape.text import foreign

if TYPE_CHECKING:
    from rich.console import Console

    from landscape.base.analysis import Analysis
    from landscape.zoo import RunResult, Zoo
    from landscape.zoo.events import Event

__all__ = ["app"]

_state = {"debug": False}


class Changed(Enum):
    """What becomes of results of older code."""

    keep = "keep"
    redo = "redo"


@contextmanager
def guarded() -> Iterator[None]:
    """Turn errors into one sentence on stderr and an exit status."""

    def say(text: str) -> None:
        _line(_console(stderr=True), text, "red")

    try:
        yield
    except KeyboardInterrupt:
        if not follows():
            say(INTERRUPTED)
        raise typer.Exit(130) from None
    except LandscapeError as error:
        if _state["debug"]:
            traceback.print_exc()
        if follows():  # the first rank says so, and torchrun would end it if this one failed
            raise typer.Exit(0) from None
        say(f"error: {error}")
        raise typer.Exit(2) from None
    except BrokenPipeError:  # `landscape show ... | head`
        # Python flushes stdout once more as it ends, and would complain of the broken pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
    except (typer.Exit, typer.Abort):
        raise
    except Exception as error:
        if _state["debug"]:
            traceback.print_exc()
        if isinstance(error, OSError) and error.filename is not None:
            say(f"error: '{str(error.filename)[:200]}' cannot be used: {error.strerror}.")
        elif short_of_memory(error):
            say(f"error: there is not enough memory for this ({one_line(error)}); ask for less at once.")
        else:
            say(f"unexpected error, please report it: {reason(error)} (LANDSCAPE_DEBUG=1 shows where)")
        raise typer.Exit(2) from None


app = typer.Typer(
    name="landscape",
    cls=analysis_group(guarded),
    help="Loss landscapes, similarity and frequency response of whole zoos of trained networks.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(show: bool) -> None:
    if show:
        typer.echo(landscape.__version__)
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    debug: Annotated[
        bool, typer.Option("--debug", envvar="LANDSCAPE_DEBUG", help="Show where errors come from.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options before the command."""
    _state["debug"] = debug
    if context.invoked_subcommand != "run":
        started()
    if launched() and context.invoked_subcommand != "run":
        with guarded():
            raise InputError("of landscape's commands, only `landscape run` shares its work under torchrun.")


@app.command()
def run(
    context: typer.Context,
    manifest: Annotated[
        Path, typer.Argument(help="The zoo's manifest, zoo.toml, or a directory of checkpoints.")
    ],
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
    only: Annotated[
        list[str] | None,
        typer.Option(help="Analyses to run, by label or name, separated by commas, or one flag each."),
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Worker processes.", min=1)] = 1,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="A Dask cluster: its scheduler's address or scheduler file."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would be done and how long it would take.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Do again what is done.")] = False,
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Do only the I-th of N equal parts; other runs do the others."),
    ] = None,
    changed: Annotated[
        Changed, typer.Option(help="Results of older code, of modules beside the manifest: keep, or redo.")
    ] = Changed.keep,
    store: Annotated[
        Path | None, typer.Option(help="Folder of the results. Default: results/ beside the manifest.")
    ] = None,
    trust_pickle: Annotated[
        bool,
        typer.Option("--trust-pickle", help="Let pickles run ANY code while loading. Own files only."),
    ] = False,
    no_report: Annotated[bool, typer.Option("--no-report", help="Write no report.html.")] = False,
) -> None:
    """Analyse a zoo of checkpoints; resumes by itself. A manifest runs the code that its builders name.

    Of a directory, nothing in it is run: what is decided is written as a manifest beside the results.

    Under torchrun its processes share the data of each model: for one large model.
    """
    with guarded():
        from landscape.cli.display import ProgressBar, RunDisplay, show_estimate
        from landscape.zoo.events import Planned

        console = _console(quiet=follows())
        check_folder("--store", store)
        zoo = zoo_to_run(manifest, store, context.params, write=not (dry_run or follows()))
        analyses = [name for given in only for name in given.split(",")] if only else None
        if manifest.is_dir():
            print_groups(console, zoo)
        if dry_run:
            rows = zoo.estimate(
                analyses,
                store=store,
                overwrite=overwrite,
                shard=shard,
                changed=changed.value,
                trust_pickle=trust_pickle,
                on_event=RunDisplay(ProgressBar(console)),
            )
            show_estimate(console, rows, jobs)
            return
        with ProgressBar(console) as bar:
            show = RunDisplay(bar, _state["debug"])

            def on_event(event: Event) -> None:
                if isinstance(event, Planned):  # all that can be imported is: work begins
                    started()
                show(event)

            def carry_out(chosen: Sequence[str] | None) -> RunResult:
                return zoo.run(
                    chosen,
                    store=store,
                    jobs=jobs,
                    cluster=cluster,
                    overwrite=overwrite,
                    shard=shard,
                    changed=changed.value,
                    trust_pickle=trust_pickle,
                    on_event=on_event,
                )

            first, rest = quick_first(zoo, analyses) if shard is None else ((), analyses)
            result = carry_out(first or rest)
            if first:  # a first look, before the landscape itself is measured
                if not (no_report or follows()):
                    written = _write_report(result.store, result.store / "report.html", zoo=result.zoo)
                    bar.say(f"report so far: {written} (it is written again at the end)")
                result = result.and_then(carry_out(rest))
        if follows():
            return
        page = None if no_report or shard is not None else result.store / "report.html"
        _finish(console, result, page, _plugins(zoo, analyses))


def _finish(
    console: Console, result: RunResult, report: Path | None, plugins: Iterable[Analysis | str] = ()
) -> None:
    """Sum up, list what failed, write the report, and exit."""
    from landscape.cli.display import failure_lines

    _line(
        console,
        f"{result.done} done, {result.skipped} done before, {len(result.failed)} failed;"
        + (f" {len(result.inapplicable)} do not apply;" if result.inapplicable else "")
        + (f" {len(result.older)} of older code;" if result.older else "")
        + f" results in {result.store}",
    )
    for line in failure_lines(result.failed):
        _line(console, f"  {line}", "red")
    for line in failure_lines(result.inapplicable):
        _line(console, f"  does not apply: {line}")
    if report is not None:
        try:
            _line(console, f"report: {_write_report(result.store, report, plugins, zoo=result.zoo)}")
        except StoreError as error:
            if not result.failed:
                raise
            _line(console, f"no report: {error}", "red")
    if result.failed:
        raise typer.Exit(1)


def _write_report(
    store: Path,
    path: Path | None,
    plugins: Iterable[Analysis | str] = (),
    models: Sequence[str] = (),
    zoo: str | None = None,
    paper: bool = False,
) -> Path:
    from landscape.reporting import report as write

    return write(store, path, analyses=plugins, models=models, zoo=zoo, paper=paper)


def _plugins(zoo: Zoo, analyses: list[str] | None) -> list[Analysis]:
    """Analyses that the user named by module: the report draws them too."""
    from landscape.zoo.builders import find_analysis

    names = dict.fromkeys([*(s.analysis for s in zoo.spec.sections), *(analyses or [])])
    return [find_analysis(name, zoo.spec.folder) for name in names if ":" in name]


def _console(**options: bool) -> Console:
    from rich.console import Console  # here, as all of rich: `landscape --help` has no use for it

    return Console(**options)  # type: ignore[arg-type]


def _line(console: Console, text: str, style: str = "") -> None:
    console.print(
        foreign(text, None), style=style, markup=False, emoji=False, highlight=False, soft_wrap=True
    )


add_scan(app, guarded)
add_show(app, guarded)
add_findings(app, guarded)
add_generalisation(app, guarded)


@app.command()
def report(
    store: Annotated[Path, typer.Argument(help="Folder of the results.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The page. Default: STORE/report.html.")
    ] = None,
    analysis: NotInstalled = None,
    models: Annotated[
        list[str] | None, typer.Option(help="Only models like this, such as 'vit-*'; repeatable.")
    ] = None,
    zoo: ZooName = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Write it again whenever there are new results, until Ctrl-C.")
    ] = False,
    paper: Annotated[
        bool, typer.Option("--paper", help="A PDF of a dozen pages instead. Default: STORE/report.pdf.")
    ] = False,
) -> None:
    """Rebuild the report from a store alone."""
    with guarded():
        check_file("--output", output, (".pdf",) if paper else ())
        given = store, output, analysis or (), models or (), zoo, paper
        if watch:
            for said in watched(store, lambda: _write_report(*given)):
                _line(_console(), said)
        written = _write_report(*given)
        _line(_console(), f"report: {written}")


add_figure(app, guarded)
add_export(app, guarded)
add_diff(app, guarded)
add_merge(app, guarded)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for models, results and report.")] = Path(
        "landscape-demo"
    ),
    quick: Annotated[
        bool, typer.Option("--quick", help="Little data and training: to try the machinery.")
    ] = False,
) -> None:
    """Train five small networks on real digits, analyse them and write report.html."""
    with guarded():
        console = _console()
        for folder in (out, out / "zoo", out / "zoo" / "checkpoints", out / "results"):
            check_folder("--out", folder)
        from landscape.cli.display import ProgressBar, RunDisplay, training_shown
        from landscape.reference.demo import build_zoo
        from landscape.zoo.executors.base import usable_cores

        with ProgressBar(console) as bar:
            jobs = min(2, usable_cores())
            manifest = build_zoo(
                out / "zoo", quick=quick, on_progress=training_shown(bar), jobs=jobs, run=True
            )
            result = landscape.Zoo.from_manifest(manifest).run(
                store=out / "results",
                jobs=jobs,
                on_event=RunDisplay(bar, _state["debug"]),
            )
        _finish(console, result, out / "report.html")


add_study(app, guarded)
add_verify(app, guarded)
