"""Plan: subjects x analyses - store."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landscape.errors import CheckpointError, InputError, suggest
from landscape.store import FileHash, SectionRecord, Snapshot, Store, task_key
from landscape.zoo.builders import find_analysis, resolve
from landscape.zoo.checkpoint import file_sha256
from landscape.zoo.spec import ModelSpec, SectionSpec, ZooSpec, check_name
from landscape.zoo.task import Member, Setup, Task
from landscape.zoo.workbench import Workbench, file_stamp

if TYPE_CHECKING:
    from landscape.base.analysis import Analysis, Scope

__all__ = ["Plan", "Shard", "choose_sections", "make_plan"]


_SETTLED_NS = 2_000_000_000  # a file changed later than this may change again within one tick of its clock


@dataclass(frozen=True)
class Plan:
    """What a zoo asks for.

    Attributes:
        setup: What all tasks share, with the fingerprint of the data.
        tasks: Every task of every section, done or not, in manifest order.
        chosen: Labels of the sections to carry out now.
        snapshot: The same for the store.
        hashes: Of the checkpoints, as `Store.read_hashes` gives them.
    """

    setup: Setup
    tasks: tuple[Task, ...]
    chosen: tuple[str, ...]
    snapshot: Snapshot
    hashes: Mapping[str, FileHash]

    def part(self, shard: Shard | None = None) -> list[Task]:
        """The tasks of the chosen sections, each key once; of one shard, if it is given.

        What one model takes stays together, so that it is loaded once and its analyses share their passes;
        pairs and groups are dealt out singly. The parts depend on the manifest and on the sections chosen,
        not on what is done.
        """
        wanted = {t.key: t for t in reversed(self.tasks) if t.label in self.chosen}
        tasks = [t for t in self.tasks if wanted.get(t.key) is t]
        if shard is None:
            return tasks
        units = {t.key: t.members[0].name if t.scope == "checkpoint" else f"~{t.key}" for t in tasks}
        numbers = {unit: number for number, unit in enumerate(dict.fromkeys(units.values()))}
        return [t for t in tasks if numbers[units[t.key]] % shard.count == shard.number - 1]

    def todo(self, store: Store, overwrite: bool = False, shard: Shard | None = None) -> list[Task]:
        """Those tasks that have no result yet."""
        return [t for t in self.part(shard) if overwrite or not store.has(t.folder, t.key)]


@dataclass(frozen=True)
class Shard:
    """One of several equal parts of a plan, numbered from 1."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """What ``i/n`` means.

        Raises:
            InputError: If it is not of that form, or ``i`` is not from 1 to ``n``.
        """
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        shard = cls(int(match[1]), int(match[2])) if match else cls(0, 0)
        if not 1 <= shard.number <= shard.count:
            raise InputError(f"shard '{text}' must be i/n, with i from 1 to n, such as 1/4.")
        return shard


@dataclass(frozen=True)
class _Hashed:
    """A model of the zoo, its file hashed; ``error`` if that failed."""

    member: Member
    sha256: str
    error: str | None
    changed_ns: int


def choose_sections(
    spec: ZooSpec, chosen: Iterable[str] | Mapping[str, Mapping[str, Any]] | None
) -> tuple[ZooSpec, tuple[str, ...]]:
    """The zoo with the sections of its manifest and those asked for, and the labels to carry out.

    Args:
        spec: The zoo.
        chosen: Labels of the manifest or names of analyses; or options by label or name; ``None`` for
            all of the manifest.

    Raises:
        InputError: If there is nothing to do, or a name is unknown.
    """
    from landscape.base.registry import discover

    sections = {s.label: s for s in spec.sections}
    if chosen is None:
        if not sections:
            raise InputError(
                f"zoo '{spec.name}' names no analyses; add a table such as [analyses.spectrum] to its"
                " manifest, or ask for some by name."
            )
        return spec, tuple(sections)
    wanted = chosen if isinstance(chosen, Mapping) else dict.fromkeys(chosen)
    labels = []
    for name, options in wanted.items():
        known = sections.get(name)
        if known is None and ":" not in name and name not in discover():
            hint = suggest(name, {*sections, *discover()})
            raise InputError(f"there is no analysis '{name}'; {hint}")
        label = check_name("section", name)
        if known is None or options is not None:
            analysis = name if known is None else known.analysis
            sections[label] = SectionSpec(label, analysis, options or {})
        labels.append(label)
    return replace(spec, sections=tuple(sections.values())), tuple(labels)


def make_plan(spec: ZooSpec, chosen: tuple[str, ...], workbench: Workbench) -> Plan:
    """Work out every task of a zoo and its key. Builds the data once and hashes every checkpoint.

    A checkpoint that has the size and time of change that it had when it was last hashed is not read.

    Args:
        spec: The zoo.
        chosen: Labels of the sections to carry out now.
        workbench: Builds the data.

    Raises:
        InputError: If an analysis or option is unknown, no builder can be imported, or the data cannot
            be built. A checkpoint that cannot be read makes its own tasks fail, no others.
    """
    analyses = {s.label: find_analysis(s.analysis, spec.folder) for s in spec.sections}
    for label, analysis in analyses.items():
        if analysis.scope == "table":
            raise InputError(
                f"[analyses.{label}]: '{analysis.name}' looks at a table of measurements, and a zoo holds"
                f" checkpoints; call landscape.{analysis.name}(table) on what was measured."
            )
    options = {s.label: analyses[s.label].validate(s.options).model_dump_json() for s in spec.sections}
    _check_builders(spec)
    _, fingerprint = workbench.data()
    known = workbench.store.read_hashes()
    hashed = [_hash(model, known) for model in spec.models]
    tasks: list[Task] = []
    records: list[SectionRecord] = []
    for section in spec.sections:
        analysis, given = analyses[section.label], options[section.label]
        made = [
            _task(section, analysis, given, subject, members, spec, fingerprint)
            for subject, members in _subjects(section, analysis.scope, hashed)
        ]
        tasks += made
        records.append(
            SectionRecord(
                label=section.label,
                analysis=section.analysis,
                folder=analysis.name,
                parameters=json.loads(given),
                tasks={t.subject: t.key for t in made},
            )
        )
    snapshot = Snapshot(spec.name, tuple(m.record() for m in spec.models), tuple(records))
    setup = replace(workbench.setup, fingerprint=fingerprint)
    now = time.time_ns()
    hashes = {
        m.shown: FileHash(h.member.stamp[0], h.changed_ns, h.sha256)
        for m, h in zip(spec.models, hashed, strict=True)
        if h.error is None and now - h.changed_ns > _SETTLED_NS
    }
    return Plan(setup, tuple(tasks), chosen, snapshot, hashes)


def _check_builders(spec: ZooSpec) -> None:
    """Raise if not even one model can be built; a builder of some models only fails their tasks."""
    errors: list[InputError] = []
    references = {m.builder.reference for m in spec.models if m.builder is not None}
    for reference in references:
        try:
            resolve(reference, spec.folder, "model builder")
        except InputError as error:
            errors.append(error)
    if errors and len(errors) == len(references):
        raise errors[0]


def _hash(model: ModelSpec, known: Mapping[str, FileHash]) -> _Hashed:
    if model.builder is None:
        raise InputError(f"model '{model.name}' has no builder; name one in a manifest.")
    member = Member(
        name=model.name,
        path=model.path,
        builder=model.builder,
        stamp=file_stamp(model.path),
        group=model.group,
        seed=model.seed,
        tags=json.dumps(dict(model.tags), default=str),
        metrics=model.metrics,
    )
    changed = _changed_ns(model.path)
    former = known.get(model.shown)
    if former is not None and (former.size, former.changed_ns) == (member.stamp[0], changed):
        return _Hashed(member, former.sha256, None, changed)
    try:
        return _Hashed(member, file_sha256(model.path), None, changed)
    except CheckpointError as error:
        return _Hashed(member, f"unreadable: {model.path}", str(error), changed)


def _changed_ns(path: Path) -> int:
    """When a file was last changed, replaced or renamed; 0 if it is missing.

    By the system's own record, where there is one: archives and copies set the other time as they please.
    """
    try:
        status = path.stat()
    except OSError:
        return 0
    return status.st_mtime_ns if os.name == "nt" else status.st_ctime_ns


def _subjects(
    section: SectionSpec, scope: Scope, models: list[_Hashed]
) -> Iterator[tuple[str, list[_Hashed]]]:
    """Name and members of each subject: models, pairs of like models in a group, or groups."""
    names = [m.member.name for m in models]
    for pattern in section.models:
        if not fnmatch.filter(names, pattern):
            raise InputError(
                f"no model matches '{pattern}' of [analyses.{section.label}]; {suggest(pattern, names)}"
            )
    models = [m for m in models if any(fnmatch.fnmatchcase(m.member.name, p) for p in section.models)]
    if scope == "checkpoint":
        yield from ((m.member.name, [m]) for m in models)
        return
    groups: dict[str, list[_Hashed]] = {}
    for model in models:
        groups.setdefault("" if section.together else model.member.group, []).append(model)
    for group, members in groups.items():
        if scope == "group":
            unnamed = "all" if len(groups) == 1 else "ungrouped"
            yield group or unnamed, members
        else:
            for a, b in combinations(members, 2):
                if a.member.builder == b.member.builder:
                    yield f"{a.member.name} ~ {b.member.name}", [a, b]


def _task(
    section: SectionSpec,
    analysis: Analysis,
    options: str,
    subject: str,
    members: list[_Hashed],
    spec: ZooSpec,
    fingerprint: str,
) -> Task:
    models = [{"checkpoint": m.sha256, **m.member.builder.facts()} for m in members]
    facts: dict[str, object] = {
        "models": models,
        # a result about a group names its members; others do not depend on names
        "names": [m.member.name for m in members] if analysis.scope == "group" else [],
        "data": fingerprint,
        "problem": spec.settings.facts(),
    }
    if section.examples is not None:
        facts["sample"] = section.examples
    return Task(
        key=task_key(analysis.name, analysis.schema.version, options, facts),
        label=section.label,
        analysis=section.analysis,
        folder=analysis.name,
        options=options,
        scope=analysis.scope,
        subject=subject,
        members=tuple(m.member for m in members),
        examples=section.examples,
        error=next((m.error for m in members if m.error is not None), None),
        collects=analysis.collect is not None,
    )
