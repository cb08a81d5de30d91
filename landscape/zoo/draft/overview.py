"""What a scan made of a directory, at a glance: groups by seeds by steps, and what it could not tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from landscape.trainings import PROGRESS, trainings
from landscape.zoo.spec import Model, ZooSpec

__all__ = ["Row", "overview", "untold"]

_SHOWN = 6


@dataclass(frozen=True)
class Row:
    """One group.

    Attributes:
        group: Its name; may be empty.
        checkpoints: How many.
        seeds: Its seeds, and how many runs tell none.
        steps: The checkpoints of a run, by what counts them.
    """

    group: str
    checkpoints: int
    seeds: str
    steps: str


def overview(spec: ZooSpec) -> list[Row]:
    """The groups of a zoo, in its order."""
    groups: dict[str, list[Model]] = {}
    for model in spec.models:
        groups.setdefault(model.group, []).append(model)
    return [Row(name, len(members), _seeds(members), _steps(members)) for name, members in groups.items()]


def untold(spec: ZooSpec) -> Iterator[str]:
    """What could not be told of a zoo, a sentence each."""
    yield from spec.notes
    unknown = sum(m.builder is None for m in spec.models)
    if unknown:
        yield f"which architecture {unknown} of {len(spec.models)} checkpoints are; --model says it."
    groups = Counter(m.group for m in spec.models)
    of = _trainings(spec.models)
    for group, count in groups.items():
        members = [m for m in spec.models if m.group == group]
        runs = {of[m.name] for m in members if m.seed is None}
        if group and count > 1 and len(runs) > 1:
            yield f"the seeds of {len(runs)} runs of group '{group}'."
    if len(set(of.values())) > 1 and set(groups) == {""}:
        yield "which checkpoints are variants of one another; --group-by says it, or a tag that they have."


def _seeds(members: Sequence[Model]) -> str:
    seeds = sorted({m.seed for m in members if m.seed is not None})
    of = _trainings(members)
    unknown = len({of[m.name] for m in members if m.seed is None})
    said = _some([str(s) for s in seeds])
    more = f"{unknown} unknown" if unknown else ""
    return ", ".join(filter(None, [said, more]))


def _steps(members: Sequence[Model]) -> str:
    """How many checkpoints a run has, and where the first and the last are."""
    of = _trainings(members)
    counts = Counter(of[m.name] for m in members)
    few, most = min(counts.values()), max(counts.values())
    said = str(most) if few == most else f"{few} to {most}"
    for unit in PROGRESS:
        found = [v for m in members if isinstance(v := m.tags.get(unit), int | float)]
        if len(found) == len(members) and (len(set(found)) > 1 or most > 1):
            low, high = min(found), max(found)
            return f"{said} ({unit} {low:g})" if low == high else f"{said} ({unit} {low:g} to {high:g})"
    return said


def _trainings(models: Sequence[Model]) -> dict[str, str]:
    """By name of a checkpoint, the training that it is of; one that stands alone is its own."""
    return {name: training or name for name, training in trainings(models).items()}


def _some(texts: Sequence[str]) -> str:
    return ", ".join(texts[:_SHOWN]) + (f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else "")
