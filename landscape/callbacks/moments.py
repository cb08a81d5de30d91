"""The moments of trainings as one zoo of a store: which models there are, and which results are whose."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from landscape.callbacks.live import Chosen
from landscape.errors import InputError
from landscape.store import ModelRecord, SectionRecord, Snapshot, Store
from landscape.trainings import PROGRESS
from landscape.zoo.events import Listener
from landscape.zoo.run_plan import holding
from landscape.zoo.task import Task

__all__ = ["check_sections", "remember"]

_SOURCE = "probe"
"""Tells the zoo of probes from those of manifests that share the store."""


def check_sections(store: Store, sections: Mapping[str, Chosen]) -> None:
    """Raise if a store holds results of another training with other options: they could not be compared.

    Raises:
        InputError: Naming the section.
    """
    for record in _mine(store.read_snapshot()).sections:
        chosen = sections.get(record.label)
        if chosen is not None and record.parameters != json.loads(chosen.params.model_dump_json()):
            raise InputError(
                f"the store '{store.directory}' holds '{record.label}' with other options"
                f" ({record.parameters}): give those, another label, or another store."
            )


def remember(
    store: Store,
    model: ModelRecord,
    tasks: Sequence[Task],
    sections: Mapping[str, Chosen],
    keep: Mapping[str, str],
    emit: Listener,
) -> None:
    """Add a moment to the zoo that a store remembers, in place of a former one of its name.

    Args:
        store: The store.
        model: The moment.
        tasks: Its tasks.
        sections: All sections.
        keep: The moments of this training so far, by name. Others of its run, which an earlier training under
            the same name left at this moment or later, go.
        emit: Told if the store is busy.

    Raises:
        StoreError: If the store cannot be written to.
    """
    with holding(store, emit):
        former = store.read_snapshot()
        mine = _mine(former)
        gone = {m.name for m in mine.models if _is_overtaken(m, model) and m.name not in keep} | {model.name}
        models = (*(m for m in mine.models if m.name not in gone), model)
        known = {s.label: s for s in mine.sections}
        for label, chosen in sections.items():
            made = SectionRecord(
                label=label,
                analysis=chosen.reference,
                folder=chosen.analysis.name,
                parameters=json.loads(chosen.params.model_dump_json()),
                tasks={},
            )
            known[label] = replace(made, tasks=known[label].tasks) if label in known else made
        keys = {task.label: task.key for task in tasks}
        records = tuple(
            replace(s, tasks=_tasks(s.tasks, gone, model.name, keys.get(s.label))) for s in known.values()
        )
        snapshot = Snapshot(store.directory.resolve().name, models, records, source=_SOURCE)
        store.write_snapshot(snapshot.beside(former))


def _tasks(known: Mapping[str, str], gone: set[str], name: str, key: str | None) -> dict[str, str]:
    kept = {subject: k for subject, k in known.items() if subject not in gone}
    return kept if key is None else {**kept, name: key}


def _mine(snapshot: Snapshot | None) -> Snapshot:
    found = None if snapshot is None else next((s for s in snapshot.all() if s.source == _SOURCE), None)
    return Snapshot("", (), ()) if found is None else found


def _is_overtaken(other: ModelRecord, now: ModelRecord) -> bool:
    """Whether a moment of the same run is this one or a later one; or counts in another unit."""
    if (other.run, other.group, other.seed) != (now.run, now.group, now.seed):
        return False
    (unit,) = set(PROGRESS) & set(now.tags)
    at = other.tags.get(unit)
    return not isinstance(at, int | float) or at >= now.tags[unit]
