"""Contents: everything a report shows, read from the files of a store alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landscape.errors import InputError, StoreError, suggest
from landscape.store.fast_read import Known, read
from landscape.store.files import open as open_file
from landscape.store.records import Failure, ModelRecord, SectionRecord, Snapshot
from landscape.store.store import Store
from landscape.store.within import check_place
from landscape.text import foreign

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "Contents",
    "Failure",
    "Located",
    "ModelRecord",
    "Outline",
    "Section",
    "located",
    "outline",
    "read_contents",
]


@dataclass(frozen=True)
class Section:
    """The results of one analysis.

    Attributes:
        label: Heading.
        analysis: What `landscape.base.registry.find` takes.
        parameters: All options.
        results: Datasets by subject (model, pair ``"a ~ b"`` or group), in manifest order.
        older: Of results that were computed before the manifest's own code changed, the files that did.
    """

    label: str
    analysis: str
    parameters: dict[str, Any]
    results: dict[str, xr.Dataset]
    older: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Contents:
    """A whole store.

    Attributes:
        name: Name of the zoo.
        models: In manifest order.
        sections: In manifest order; a section may be empty.
        failures: Tasks that failed and have no result.
        missing: Number of tasks that neither are done nor failed.
        others: Names of other zoos whose results are in the store.
    """

    name: str
    models: list[ModelRecord]
    sections: list[Section]
    failures: list[Failure]
    missing: int
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Located:
    """One result file: its section, its subject, and the attributes the zoo gives it today."""

    label: str
    subject: str
    path: Path
    attrs: dict[str, str]


@dataclass(frozen=True)
class Outline:
    """A store whose results are not read.

    Attributes:
        store: The store.
        models: In manifest order.
        sections: In manifest order, by analysis, each with the result files that are there.
    """

    store: Store
    models: list[ModelRecord]
    sections: list[tuple[str, list[Located]]]


def read_contents(directory: str | Path, zoo: str | None = None) -> Contents:
    """Read a store. Without ``zoo.json`` it is made out from the result files themselves.

    Args:
        directory: The store.
        zoo: Which zoo, by name, of a store of several manifests; by default the one that was run last.

    Raises:
        InputError: If the store has no zoo of that name.
        StoreError: If the folder is missing or holds no results. A damaged result file is listed
            among the failures instead.
    """
    frame = _frame(directory, zoo)
    store, snapshot = frame.store, frame.snapshot
    failed = {(f.analysis, f.key): f for f in store.failures()}
    sections: list[Section] = []
    failures = list(frame.damaged)
    missing = 0
    facts: Known = {}
    for record in snapshot.sections:
        results: dict[str, xr.Dataset] = {}
        older: dict[str, tuple[str, ...]] = {}
        for entry in _entries(store, snapshot, record):
            key = record.tasks[entry.subject]
            former = failed.get((record.folder, key))
            if entry.path.is_file():
                try:
                    check_place(entry.path, store.directory)
                    results[entry.subject] = read(entry.path, facts, entry.attrs)
                    changed = snapshot.changed(results[entry.subject].attrs.get("code"))
                    older |= {entry.subject: changed} if changed else {}
                except StoreError as error:
                    text = f"{error} Run again."
                    failures.append(Failure(record.label, record.folder, entry.subject, key, text, "store"))
            elif former is not None:
                failures.append(replace(former, label=record.label, model=entry.subject))
            else:
                missing += 1
        sections.append(Section(record.label, record.analysis, record.parameters, results, older))
    if frame.is_guessed:
        failures += failed.values()
    return Contents(snapshot.name, list(snapshot.models), sections, failures, missing, frame.others)


def outline(directory: str | Path) -> Outline:
    """The zoo that was run last in a store, without reading its results.

    Raises:
        StoreError: As `read_contents`.
    """
    frame = _frame(directory, None)
    sections = []
    for record in frame.snapshot.sections:
        entries = _entries(frame.store, frame.snapshot, record)
        there = [e for e in entries if e.path.is_file() and _is_inside(e.path, frame.store)]
        sections.append((record.analysis, there))
    return Outline(frame.store, list(frame.snapshot.models), sections)


@dataclass(frozen=True)
class _Frame:
    """A zoo of a store: as the store says, or as its result files let guess."""

    store: Store
    snapshot: Snapshot
    others: tuple[str, ...]
    damaged: list[Failure]
    is_guessed: bool


def _frame(directory: str | Path, zoo: str | None) -> _Frame:
    store = Store(directory)
    if not store.directory.is_dir():
        raise StoreError(f"there is no store '{directory}'.")
    known = store.read_snapshot()
    damaged: list[Failure] = []
    snapshot = known or _guess(store, damaged)
    others: tuple[str, ...] = ()
    if zoo is not None and known is not None:
        found = snapshot.chosen(zoo)
        if found is None:
            hint = suggest(zoo, {s.name for s in snapshot.all()})
            raise InputError(f"the store '{directory}' has no zoo '{zoo}'; {hint}")
        others = tuple(s.name for s in snapshot.all() if s is not found)
        snapshot = found
    else:
        others = tuple(s.name for s in snapshot.others)
    if known is None and (store.directory / "zoo.json").exists():
        text = (
            f"'{foreign(store.directory / 'zoo.json')}' is damaged: results are listed by what they say of"
            " themselves, the newest of each; run again to write it anew."
        )
        damaged.append(Failure("zoo.json", "zoo.json", "zoo.json", "", text, "store"))
    if not snapshot.sections and not snapshot.models and not damaged:
        raise StoreError(f"'{directory}' holds no results of landscape.")
    return _Frame(store, snapshot, others, damaged, known is None)


def located(store: Store) -> tuple[str, list[Located]]:
    """Name of the zoo, and the result files of all zoos of the store, in order.

    Of two that two zoos give one label and subject, the second has the name of its zoo behind its subject.
    """
    snapshot = store.read_snapshot() or _guess(store)
    found: dict[tuple[str, str], Located] = {}
    for zoo in snapshot.all():
        for entry in (e for record in zoo.sections for e in _entries(store, zoo, record)):
            if not entry.path.is_file() or not _is_inside(entry.path, store):
                continue
            place, number = (entry.label, entry.subject), 1
            while place in found and found[place].path != entry.path:
                more = f"{zoo.name} {number}" if number > 1 else zoo.name
                place, number = (entry.label, f"{entry.subject} ({more.replace('/', '-')})"), number + 1
            found[place] = replace(entry, subject=place[1])
    return snapshot.name, list(found.values())


def _is_inside(path: Path, store: Store) -> bool:
    try:
        check_place(path, store.directory)
    except StoreError:
        return False
    return True


def _entries(store: Store, snapshot: Snapshot, record: SectionRecord) -> Iterator[Located]:
    models = {m.name: m for m in snapshot.models}
    for subject, key in record.tasks.items():
        attrs = {"label": record.label, "model": subject}
        if subject in models:
            tags = json.dumps(models[subject].tags, default=str)
            attrs |= {"group": models[subject].group, "tags": tags}
        yield Located(record.label, subject, store.path(record.folder, key), attrs)


def _check_attributes(file: Path, attrs: Mapping[str, Any]) -> None:
    """Raise if attributes that say where a result belongs are not what a run writes."""
    try:
        whole = all(
            isinstance(json.loads(str(attrs.get(name, "{}"))), dict) for name in ("tags", "parameters")
        )
        int(attrs.get("model_seed", 0))
    except (ValueError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise StoreError(
            f"'{foreign(file)}' does not say what it is a result of: its attributes are damaged."
        )


def _guess(store: Store, damaged: list[Failure] | None = None) -> Snapshot:
    """A snapshot made out from the attributes of the result files; those that cannot be read go to a list."""
    models: dict[str, ModelRecord] = {}
    found: dict[tuple[str, str, str], dict[str, str]] = {}
    readable: list[tuple[str, Path, Mapping[str, Any]]] = []
    for file in sorted(store.directory.glob("*/*.h5")):
        try:
            check_place(file, store.directory)
            attrs = open_file(file).attrs
            _check_attributes(file, attrs)
        except StoreError as error:
            if damaged is not None:
                text, folder = f"{error} Run again.", file.parent.name
                damaged.append(Failure(folder, folder, file.stem, file.stem, text, "store"))
            continue
        readable.append((str(attrs.get("created", "")), file, attrs))
    # Of several results of one subject, such as those of before its checkpoint changed, the newest counts.
    for _, file, known in sorted(readable, key=lambda one: (one[0], one[1])):
        attrs = dict(known)
        folder = file.parent.name
        subject = str(attrs.get("model", file.stem))
        which = (folder, str(attrs.get("label", folder)), str(attrs.get("parameters", "{}")))
        found.setdefault(which, {})[subject] = file.stem
        if "model_seed" in attrs or "tags" in attrs:
            seed = attrs.get("model_seed")
            models[subject] = ModelRecord(
                name=subject,
                group=str(attrs.get("group", "")),
                seed=None if seed is None else int(seed),
                tags=json.loads(attrs.get("tags", "{}")),
                run=str(attrs.get("run", "")),
            )
    sections = [
        SectionRecord(label, folder, folder, json.loads(parameters), dict(sorted(tasks.items())))
        for (folder, label, parameters), tasks in sorted(found.items())
    ]
    labels = [s.label for s in sections]
    if len(set(labels)) < len(labels):  # one label, several sets of options: number them
        sections = [
            SectionRecord(f"{s.label}-{i}", s.analysis, s.folder, s.parameters, s.tasks)
            for i, s in enumerate(sections)
        ]
    ordered = tuple(models[name] for name in sorted(models))
    return Snapshot(store.directory.resolve().name, ordered, tuple(sections))
