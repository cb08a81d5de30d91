"""Tasks: what goes to workers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from landscape._moved import old_names
from landscape.base.analysis import Scope
from landscape.zoo.problem_options import ProblemOptions
from landscape.zoo.spec import Builder, Model, PredictiveModel

__all__ = ["Setup", "Task", "bundle"]

if not TYPE_CHECKING:
    __getattr__ = old_names(__name__)


@dataclass(frozen=True)
class Setup:
    """What all tasks of a run share.

    Attributes:
        folder: Where builders are imported from.
        data: Makes the data.
        problem: How problems are made.
        store: Where results go.
        trust_pickle: Whether pickles may run code.
        fingerprint: Content hash of the data that the plan was made for; ``None`` before that.
        overwrite: Whether to do again what is done.
        split: Which split the data are, if that is known.
        code: Hashes of the manifest's own modules, by file; see `landscape.zoo.code`.
        changed: What becomes of results of other code: ``keep`` or ``redo``.
    """

    folder: Path
    data: Builder
    problem: ProblemOptions
    store: Path
    trust_pickle: bool = False
    fingerprint: str | None = None
    overwrite: bool = False
    split: str | None = None
    code: Mapping[str, str] = field(default_factory=dict)
    changed: str = "keep"


@dataclass(frozen=True)
class Task:
    """One analysis of one subject.

    Attributes:
        key: Content hash; names the result file.
        label: The section.
        analysis: What `landscape.base.registry.find` takes.
        folder: Name of the analysis: folder in the store.
        options: Validated options as JSON.
        scope: What the subject is.
        subject: Name of the model, pair or group.
        members: The models: one, two or several.
        given: The models whose states fill an input of the analysis, in order.
        input: That input; empty for none.
        examples: How many examples of the data it uses; ``None`` for all.
        error: Why it cannot be done at all (a checkpoint is missing); ``None`` if nothing is known.
        collects: Whether its analysis can share a pass over the data.
        companions: Tasks about the same model whose analyses share this one's pass; see `bundle`.
        code: Of `Setup.code`, what its numbers may come from.
    """

    key: str
    label: str
    analysis: str
    folder: str
    options: str
    scope: Scope
    subject: str
    members: tuple[Model, ...]
    examples: int | None = None
    error: str | None = None
    collects: bool = False
    companions: tuple[Task, ...] = ()
    given: tuple[Model, ...] = ()
    input: str = ""
    code: Mapping[str, str] = field(default_factory=dict)

    @property
    def gathered(self) -> tuple[Model, ...]:
        """The checkpoints that it can go on without, to a degree: those of a group or of a predictive."""
        if self.scope == "group":
            return self.members
        first = self.members[0]
        return first.members if isinstance(first, PredictiveModel) else ()


def bundle(tasks: Iterable[Task]) -> list[Task]:
    """The same tasks in the same order, where the first of several that can share a pass knows the others.

    Whoever carries out the first has the others' results at hand; whoever carries out one of the others
    elsewhere works it out alone, to the same bits.
    """
    tasks = list(tasks)
    sharing: dict[tuple[str, int | None], list[Task]] = {}
    for task in tasks:
        if task.collects and task.error is None:
            sharing.setdefault((task.members[0].name, task.examples), []).append(task)
    others = {group[0].key: tuple(group[1:]) for group in sharing.values()}
    return [replace(task, companions=others.get(task.key, ())) for task in tasks]
