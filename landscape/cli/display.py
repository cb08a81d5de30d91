"""What the command line shows: progress, tables, failures. On a terminal it lives; else plain lines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
)
from rich.table import Table
from rich.text import Text

from landscape._moved import old_names
from landscape.base.progress import duration, times
from landscape.text import foreign

if TYPE_CHECKING:
    from landscape.base.analysis import Metric
    from landscape.store import Failure
    from landscape.zoo.estimate import Estimate
    from landscape.zoo.events import Event

__all__ = [
    "ProgressBar",
    "RunDisplay",
    "duration",
    "estimate_lines",
    "estimate_table",
    "failure_lines",
    "metric_table",
    "number",
    "show_estimate",
    "training_shown",
]

if not TYPE_CHECKING:
    __getattr__ = old_names(__name__)

_LINE_EVERY_S = 5.0


class ProgressBar(AbstractContextManager["ProgressBar"]):
    """A bar with the remaining time on a terminal; elsewhere a line now and then.

    Args:
        console: Where to show it.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._unit = ""
        self._start = self._shown = time.monotonic()
        self._total = 0.0
        self._bar: Progress | None = None
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[times]}"),
                console=console,
                transient=True,
            )
            self._bar.add_task("", total=None, times="")

    def __enter__(self) -> ProgressBar:
        """Show the bar."""
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()

    def begin(self, total: float, unit: str, *, more: bool = False) -> None:
        """Set what the whole is and what is counted, and start the clock.

        Args:
            total: The whole.
            unit: What is counted.
            more: Whether this is more of what is counted already, such as epochs of another model: then the
                clock runs on, since what was done before would else seem to have taken no time.
        """
        if not more:
            self._start = self._shown = time.monotonic()
            if self._bar is not None:
                self._bar.reset(self._bar.task_ids[0])
        self._unit, self._total = unit, total
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], total=total)

    def say(self, text: str, *, style: str = "") -> None:
        """Write a line that stays."""
        self.console.print(
            foreign(text, None), style=style, markup=False, emoji=False, highlight=False, soft_wrap=True
        )

    def update(self, completed: float, text: str) -> None:
        """Show how much is done (of the total given to `begin`), and what is being done."""
        if self._bar is not None:
            self._bar.update(
                self._bar.task_ids[0],
                completed=completed,
                description=escape(foreign(text)),
                times=self.remaining(completed),
                refresh=True,
            )
        elif time.monotonic() - self._shown >= _LINE_EVERY_S:
            self._shown = time.monotonic()
            done = f"{completed:.1f}".removesuffix(".0")
            what = f": {text}" if text else ""
            self.say(f"{done} of {self._total:g} {self._unit}, {self.remaining(completed)}{what}")

    def remaining(self, completed: float) -> str:
        """The time that it took, and the time left if all goes on as so far.

        Before the first of several tasks has ended nothing is known of how long they take: what stands at the
        beginning, such as reading the data, would count for each of them.
        """
        known = self._total > 0 and (completed >= 1 or self._total <= 1)
        return times(time.monotonic() - self._start, completed / self._total if known else 0.0)


class RunDisplay:
    """Shows the events of a run.

    Args:
        bar: Where to show them.
        debug: Whether to show where in the code a task failed.
    """

    def __init__(self, bar: ProgressBar, debug: bool = False) -> None:
        self._bar = bar
        self._debug = debug
        self._todo = 0
        self._ended = 0
        self._reading = False
        self._fractions: dict[str, float] = {}

    def __call__(self, event: Event) -> None:
        """Show one event."""
        from landscape.zoo.events import (
            Done,
            DoneElsewhere,
            Failed,
            Message,
            Planned,
            Progress,
            Reading,
            Started,
        )

        match event:
            case Planned(todo, done):
                self._todo, self._ended = todo, 0
                self._fractions.clear()
                self._bar.begin(todo, "tasks")
                self._bar.say(f"{todo} tasks to do, {done} done before")
            case Reading(examples, 0):
                self._bar.say(f"reading the data: {examples} examples so far")
            case Reading(examples, of):
                if not self._reading:
                    self._bar.begin(of, "examples")
                self._reading = examples < of
                self._bar.update(examples, "reading the data")
            case Message(text):
                self._bar.say(text, style="yellow")
            case Started(task):
                self._fractions[task.key] = 0.0
                self._show(f"{task.label} of {task.subject}")
            case Progress(task, fraction):
                self._fractions[task.key] = min(1.0, max(0.0, fraction))
                self._show(f"{task.label} of {task.subject}")
            case Done(task, seconds):
                self._end(task.key)
                self._bar.say(self._line(f"{task.label} of {task.subject}: {duration(seconds)}"))
            case DoneElsewhere(task):
                self._end(task.key)
                self._bar.say(self._line(f"{task.label} of {task.subject}: done by another run"))
            case Failed(task, error, "inapplicable"):
                self._end(task.key)
                self._bar.say(self._line(f"{task.label} does not apply to {task.subject}: {error}"))
            case Failed(task, error, _, trace):
                self._end(task.key)
                line = self._line(f"{task.label} of {task.subject} failed: {error}")
                self._bar.say(line, style="red")
                if self._debug and trace:
                    self._bar.say(trace)

    def _line(self, text: str) -> str:
        left = f", {self._bar.remaining(self._completed())}" if self._ended < self._todo else ""
        return f"[{self._ended}/{self._todo}{left}] {text}"

    def _end(self, key: str) -> None:
        self._ended += 1
        self._fractions.pop(key, None)
        self._show("")

    def _show(self, text: str) -> None:
        self._bar.update(self._completed(), text)

    def _completed(self) -> float:
        return self._ended + sum(self._fractions.values())


def failure_lines(failures: Sequence[Failure]) -> list[str]:
    """One line for each model and error, with the analyses it stopped."""
    labels: dict[tuple[str, str], list[str]] = {}
    for failure in failures:
        labels.setdefault((failure.model, failure.error), []).append(failure.label)
    return [f"{model} ({', '.join(names)}): {error}" for (model, error), names in labels.items()]


def training_shown(bar: ProgressBar) -> Callable[[str, int, int, float, float], None]:
    """Show each epoch of each model; several may train at the same time."""
    done: dict[str, int] = {}
    whole: dict[str, int] = {}

    def show(model: str, epoch: int, epochs: int, loss: float, accuracy: float) -> None:
        if model not in whole:
            whole[model] = epochs
            bar.begin(sum(whole.values()), "epochs", more=len(whole) > 1)
        done[model] = epoch
        text = f"training {model}: epoch {epoch} of {epochs}, loss {loss:.3f}, test accuracy {accuracy:.3f}"
        bar.update(sum(done.values()), text)
        if epoch == epochs:
            bar.say(text)

    return show


def estimate_table(rows: Iterable[Estimate], jobs: int) -> Table:
    """What a run would do, and how long it would take."""
    rows = list(rows)
    table = Table("analysis", box=None, pad_edge=False)
    for heading in ("to do", "done", "will fail", "time"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for row in rows:
        known = "as measured before" if row.todo and row.measured == row.todo - len(row.failing) else ""
        time_ = duration(row.seconds / jobs)
        table.add_row(
            cell(row.label), str(row.todo), str(row.done), str(len(row.failing) or ""), time_, known
        )
    total = sum(r.seconds for r in rows) / jobs
    todo, done, failing = (
        sum(n) for n in zip(*((r.todo, r.done, len(r.failing)) for r in rows), strict=True)
    )
    table.add_row("all", str(todo), str(done), str(failing or ""), duration(total), style="bold")
    return table


def show_estimate(console: Console, rows: Iterable[Estimate], jobs: int) -> None:
    """Show what a run would do, how long it would take, and what will fail."""
    rows = list(rows)
    console.print(estimate_table(rows, jobs))
    for line in estimate_lines(rows):
        console.print(cell(line, None), style="yellow", soft_wrap=True)


def estimate_lines(rows: Iterable[Estimate]) -> list[str]:
    """What will fail, once for each subject and reason, and what else there is to say of sections."""
    labels: dict[tuple[str, str], list[str]] = {}
    rows = list(rows)
    for row in rows:
        for subject, why in row.failing.items():
            labels.setdefault((subject, why), []).append(row.label)
    lines = [f"will fail: {subject} ({', '.join(names)}): {why}" for (subject, why), names in labels.items()]
    return lines + [f"{row.label}: {row.note.rstrip('.')}." for row in rows if row.note]


def metric_table(metrics: Iterable[Metric]) -> Table:
    """The numbers that sum up a result."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for metric in metrics:
        unit = "" if metric.unit in ("", "1") else metric.unit
        table.add_row(cell(metric.name), cell(number(metric.value)), cell(unit), cell(metric.meaning, None))
    return table


def cell(text: object, longest: int | None = 200) -> Text:
    """Text of a table: neither markup nor emoji codes nor escapes in it are obeyed."""
    return Text(foreign(text, longest))


def number(value: Any) -> str:
    """A number in a table: four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
