"""Plan: which tasks a zoo asks for and its store lacks (subjects x analyses - store); computes none."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landscape.base.analysis import SECTION_KEYS
from landscape.base.params import FUNCTION, no_option
from landscape.errors import CheckpointError, InputError, suggest
from landscape.store import FileHash, SectionRecord, Snapshot, Store, task_key
from landscape.zoo.builders import find_analysis, resolve
from landscape.zoo.checkpoint import file_sha256, file_times
from landscape.zoo.code import by_other_code, ensure_loaded, own_code, references_of
from landscape.zoo.described.preprocessing import mixed, with_own_data
from landscape.zoo.loader import Loader
from landscape.zoo.predictives import beside_members, planned
from landscape.zoo.sources.read import with_pixel_scale
from landscape.zoo.spec import Builder, Model, PredictiveModel, SectionSpec, ZooSpec, check_name
from landscape.zoo.subjects import Subject, progress_of, subjects_of, why_none
from landscape.zoo.task import Setup, Task

if TYPE_CHECKING:
    from landscape.base.analysis import Analysis, Params

__all__ = ["Plan", "Shard", "choose_sections", "make_plan"]


# A file changed later than this may change again within one tick of its file system's clock (up to 2 s), with
# nothing to tell by: its hash is not remembered yet.
_SETTLED_NS = 2_000_000_000


@dataclass(frozen=True)
class Plan:
    """What a zoo asks for.

    Attributes:
        setup: What all tasks share, with the fingerprint of the data.
        tasks: Every task of every section, done or not, in manifest order.
        chosen: Labels of the sections to carry out now.
        snapshot: The same for the store.
        hashes: Of the checkpoints, as `Store.read_hashes` gives them.
        notes: By label of a section, why it has no task, or none that compares anything.
    """

    setup: Setup
    tasks: tuple[Task, ...]
    chosen: tuple[str, ...]
    snapshot: Snapshot
    hashes: Mapping[str, FileHash]
    notes: Mapping[str, str] = field(default_factory=dict)

    def part(self, shard: Shard | None = None) -> list[Task]:
        """The tasks of the chosen sections, each key once; of one shard, if it is given.

        What one model takes stays together, so that it is loaded once and its analyses share their passes;
        pairs and groups are split up singly. The parts depend on the manifest and on the sections chosen,
        not on what is done.
        """
        # Reversed, since the last entry of a dictionary wins: of equal keys the first task is done.
        first = {t.key: t for t in reversed(self.tasks) if t.label in self.chosen}
        tasks = [t for t in self.tasks if first.get(t.key) is t]
        if shard is None:
            return tasks
        units = {t.key: t.members[0].name if t.scope == "checkpoint" else f"~{t.key}" for t in tasks}
        numbers = {unit: number for number, unit in enumerate(dict.fromkeys(units.values()))}
        return [t for t in tasks if numbers[units[t.key]] % shard.count == shard.number - 1]

    def todo(
        self,
        store: Store,
        overwrite: bool = False,
        shard: Shard | None = None,
        redo: Collection[Task] = (),
    ) -> list[Task]:
        """Those tasks that have no result yet, and groups and predictives whose result leaves members out.

        Whoever carries out such a group keeps its result if the members still cannot be used.

        Args:
            store: Where results are.
            overwrite: Whether to do all again.
            shard: The part to do.
            redo: What else to do again.
        """
        again = {t.key for t in redo}
        return [
            t
            for t in self.part(shard)
            if overwrite
            or t.key in again
            or not store.has(t.folder, t.key)
            or (t.gathered and store.left_out(t.folder, t.key))
        ]

    def of_other_code(
        self, store: Store, shard: Shard | None = None, current: Collection[str] = ()
    ) -> list[tuple[Task, tuple[str, ...]]]:
        """Tasks whose result is of before the code of the manifest changed, with the files that did.

        Args:
            store: Where results are.
            shard: The part to look at.
            current: Keys of those whose result is known to be of today's code, which is not read again.
        """
        asked = (t for t in self.part(shard) if t.key not in current and store.has(t.folder, t.key))
        found = ((t, by_other_code(store, t)) for t in asked)
        return [(task, files) for task, files in found if files]


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
    requested = chosen if isinstance(chosen, Mapping) else dict.fromkeys(chosen)
    labels = []
    for name, options in requested.items():
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


def make_plan(spec: ZooSpec, chosen: tuple[str, ...], loader: Loader, store: Store) -> Plan:
    """Work out every task of a zoo and its key. Builds the data once and hashes every checkpoint.

    A checkpoint that has the size and time of change that it had when it was last hashed is not read.

    Args:
        spec: The zoo.
        chosen: Labels of the sections to carry out now.
        loader: Builds the data.
        store: Remembers hashes of checkpoints.

    Raises:
        InputError: If an analysis or option is unknown, no builder can be imported, or the data cannot
            be built. A checkpoint that cannot be read makes its own tasks fail, no others.
    """
    codes = _Codes(spec)
    named = [reference for p in spec.predictives for reference in p.references]
    ensure_loaded(codes.of(spec.models, *named, *(s.analysis for s in spec.sections)), spec.folder)
    analyses = {s.label: find_analysis(s.analysis, spec.folder) for s in spec.sections}
    validated = {s.label: _validated(s, analyses[s.label], spec.folder) for s in spec.sections}
    for section in spec.sections:
        label, analysis = section.label, analyses[section.label]
        if analysis.scope == "table":
            raise InputError(
                f"[analyses.{label}]: '{analysis.name}' looks at a table of measurements, and a zoo holds"
                f" checkpoints; call landscape.{analysis.name}(table) on what was measured."
            )
        fill = analysis.from_zoo(validated[label])
        if fill is not None:  # what cannot be filled is said before data are read and files are hashed
            subjects_of(section, analysis, spec.models, fill)
        if section.together and analysis.scope == "checkpoint" and fill is None:
            raise InputError(
                f"[analyses.{section.label}]: together = true compares the models of all groups, and"
                f" '{analysis.name}' looks at one model at a time; leave it out."
            )
    _check_builders(spec)
    loader.check()
    _, fingerprint = loader.data()
    known = store.read_hashes()
    found = [_hashed(model, known) for model in spec.models]
    models = [model for model, _ in found]
    models = with_own_data(models, lambda model: loader.data(model)[1])
    predictives = planned(spec.predictives, models, lambda builder: loader.fit_data(builder)[1])
    everyone = beside_members(models, predictives)
    problem = spec.problem.facts()
    tasks: list[Task] = []
    records: list[SectionRecord] = []
    notes: dict[str, str] = {}
    for section in spec.sections:
        analysis, params = analyses[section.label], with_pixel_scale(validated[section.label], loader.named())
        builders = [Builder(*builder) for builder in params.data_builders()]
        functions = [reference for _, reference in _functions(params)]
        more = section.analysis, *functions, *(builder.reference for builder in builders)
        ensure_loaded(codes.of((), *more), spec.folder)
        others = [loader.other_data(builder) for builder in builders]
        fill = analysis.from_zoo(params)
        usual = params.model_dump_json()  # which takes longer than to compare: most subjects have these
        made = [
            _task(
                section,
                analysis,
                usual if options is params else options.model_dump_json(),
                subject,
                problem,
                (subject.members[0].data_fingerprint or fingerprint, *others),
                codes.of((*subject.members, *subject.given), *more),
            )
            for subject in subjects_of(section, analysis, everyone, fill)
            for options in (_options_of(subject, params, validated[section.label], loader),)
        ]
        tasks += made
        if fill is None and (why := why_none(section, analysis, everyone)):
            notes[section.label] = why
        records.append(
            SectionRecord(
                label=section.label,
                analysis=section.analysis,
                folder=analysis.name,
                parameters=json.loads(usual),
                tasks={t.subject: t.key for t in made},
            )
        )
    code = dict(sorted({item for task in tasks for item in task.code.items()}))
    snapshot = Snapshot(
        spec.name, tuple(m.record() for m in everyone), tuple(records), code, _source(spec, store)
    )
    setup = replace(loader.setup, fingerprint=fingerprint, code=code)
    now = time.time_ns()
    hashes = {
        model.shown: file for model, file in found if file is not None and now - file.changed_ns > _SETTLED_NS
    }
    return Plan(setup, tuple(tasks), chosen, snapshot, hashes, notes)


def _options_of(subject: Subject, usual: Params, given: Params, loader: Loader) -> Params:
    """The options of a section for one subject, whose pictures may have a scale of their own."""
    first = subject.members[0]
    return usual if first.data is None else with_pixel_scale(given, loader.named(first))


def _source(spec: ZooSpec, store: Store) -> str:
    """What tells a manifest from others that share a store, also when both are moved."""
    file = spec.manifest or spec.folder
    try:
        place = os.path.relpath(file, store.directory.resolve())
    except ValueError:  # on two drives of Windows
        place = str(file)
    return hashlib.sha256(place.encode("utf-8", "surrogateescape")).hexdigest()[:12]


class _Codes:
    """The own code of tasks, of which many have the same."""

    def __init__(self, spec: ZooSpec) -> None:
        self._spec = spec
        self._known: dict[tuple[str, ...], dict[str, str]] = {}
        self._alike: dict[tuple[object, ...], dict[str, str]] = {}

    def of(self, models: Iterable[Model], *more: str) -> dict[str, str]:
        """The code behind models, data and loss, and behind further references."""
        models = tuple(models)
        if any(isinstance(model, PredictiveModel) for model in models):
            return self._named(models, *more)
        # Those of one entry of a manifest share its builder: which object it is says what it names.
        alike = (*((id(model.builder), model.loader) for model in models), *more)
        if alike not in self._alike:
            self._alike[alike] = self._named(models, *more)
        return self._alike[alike]

    def _named(self, models: Iterable[Model], *more: str) -> dict[str, str]:
        spec = self._spec
        references = (*references_of(models, spec.data, spec.problem), *more)
        if references not in self._known:
            self._known[references] = own_code(references, spec.folder)
        return self._known[references]


def _validated(section: SectionSpec, analysis: Analysis, folder: Path) -> Params:
    """The options of a section, checked."""
    for name in section.options:
        if name in analysis.inputs and name not in analysis.params.model_fields:
            raise InputError(
                f"[analyses.{section.label}]: '{name}' of '{analysis.name}' is an input of a call"
                f" (landscape.{analysis.name}(..., {name}=...)) and no option: a manifest holds no tensors"
                " and no functions; leave it out."
            )
        if name not in analysis.params.model_fields:
            raise InputError(no_option(analysis.name, analysis.params, name, SECTION_KEYS))
    params = analysis.validate(section.options)
    for name, reference in _functions(params):
        resolve(reference, folder, f"[analyses.{section.label}]: {name}")
    return params


def _functions(params: Params) -> list[tuple[str, str]]:
    """The options that name functions of the user's, each with one that it names."""
    fields = {n: getattr(params, n) for n, o in type(params).model_fields.items() if FUNCTION in o.metadata}
    found = [(name, (given,) if isinstance(given, str) else given) for name, given in fields.items()]
    return [(name, reference) for name, references in found for reference in references if reference]


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


def _hashed(model: Model, known: Mapping[str, FileHash]) -> tuple[Model, FileHash | None]:
    """A model with what its file is now; and that for the next run, if the file can be read."""
    _ = model.made_by  # raises if there is no builder, before a large file is read
    size, modified, changed = file_times(model.path)
    stamp = size, modified
    file = known.get(model.shown)
    if file is None or (file.size, file.changed_ns) != (size, changed):
        try:
            file = FileHash(size, changed, file_sha256(model.path))
        except CheckpointError as error:
            return replace(model, stamp=stamp, error=str(error)), None
    return replace(model, stamp=stamp, sha256=file.sha256), file


def _task(
    section: SectionSpec,
    analysis: Analysis,
    options: str,
    subject: Subject,
    problem: Mapping[str, object],
    data: tuple[str, ...],
    code: Mapping[str, str],
) -> Task:
    members = subject.members
    facts: dict[str, object] = {
        "models": [m.facts() for m in members],
        # a result about a group names its members; others do not depend on names
        "names": [m.name for m in members] if analysis.scope == "group" else [],
        "data": data[0],
        "problem": problem,
    }
    if data[1:]:  # what options name: other data under the same name make another result
        facts["other_data"] = data[1:]
    if subject.input:  # results name these, as those of groups do
        facts["input"] = [subject.input, *([m.name, m.facts()] for m in subject.given)]
        if (
            not subject.given
        ):  # what files hold beside the weights, which their hashes tell, and who comes when
            facts["input"] = [subject.input, progress_of(members)]
    if section.examples is not None:
        facts["sample"] = section.examples
    needed = (*(members if analysis.scope != "group" else ()), *subject.given)
    return Task(
        key=task_key(analysis.name, analysis.schema.version, options, facts),
        label=section.label,
        analysis=section.analysis,
        folder=analysis.name,
        options=options,
        scope=analysis.scope,
        subject=subject.name,
        members=members,
        given=subject.given,
        input=subject.input,
        examples=section.examples,
        # a group goes on without the members that cannot be read
        error=next((m.error for m in needed if m.error is not None), None)
        or mixed((*members, *subject.given)),
        collects=analysis.collect is not None,
        code=code,
    )
