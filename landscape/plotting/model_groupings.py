"""Model groupings: the ways in which a zoo's models are compared: one by one, by group, seed, width, ..."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from landscape.plotting.palette import Palette
from landscape.plotting.scales import number
from landscape.trainings import ends_of_runs

if TYPE_CHECKING:
    from landscape.store.contents import Contents
    from landscape.store.records import ModelRecord

__all__ = ["MOST_MODELS", "Grouping", "model_groupings"]

MOST_MODELS = 12
"""Models that one figure shows one by one."""

_MOST_VALUES = 8  # groups of a figure
_BINS = 5
_BETWEEN = "between groups"


@dataclass(frozen=True)
class Grouping:
    """One way to compare models.

    Attributes:
        name: What a group is: ``group``, ``seed``, ``width``.
        groups: The group of each subject (model, pair or group that is a result), in order.
        palette: The look of each group.
    """

    name: str
    groups: dict[str, str]
    palette: Palette


def model_groupings(contents: Contents, subjects: Iterable[str]) -> list[Grouping]:
    """The groupings of a zoo, ``group`` first and ``seed`` last; each divides the models in another way.

    Of more groups than a figure shows the first keep their names, and the others are one.

    Args:
        contents: The store.
        subjects: All that figures show: models, pairs, groups.
    """
    models = {m.name: m for m in contents.models}
    given = {s: str(ds.attrs.get("group", "")) for c in contents.sections for s, ds in c.results.items()}
    last = ends_of_runs(contents.models)
    listed = list(dict.fromkeys([*models, *subjects]))
    facts: dict[str, dict[str, Any]] = {
        "group": {s: _group(models[s], last[s]) if s in models else given.get(s, "") for s in listed}
    }
    for tag in dict.fromkeys(t for m in contents.models for t in m.tags):
        facts[tag] = {n: m.tags.get(tag) for n, m in models.items()}
    facts["seed"] = {n: m.seed for n, m in models.items()}
    found: list[Grouping] = []
    partitions: list[list[int]] = []
    for name, values in facts.items():
        known = {s: v for s, v in values.items() if v not in (None, "")}
        named, ordered = _named(name, known)
        if name == "group":
            named = _with_others(named, models)
        number_of = {group: i for i, group in enumerate(dict.fromkeys(named.values()))}
        partition = [number_of[named[s]] if s in named else -1 for s in models or listed]
        # No way to group: one group for all, one for each model, or groups that another name makes too.
        whole = len(set(partition))
        if 1 < whole <= _MOST_VALUES and whole < len(partition) and partition not in partitions:
            partitions.append(partition)
            found.append(_grouping(name, _extended(named, listed), ordered))
    if not found and len(listed) > MOST_MODELS:
        found.append(_grouping("zoo", dict.fromkeys(listed, "all models"), False))
    return found


def _group(model: ModelRecord, last: bool) -> str:
    """The group of a model; what a training passed through is kept apart from where it ended."""
    return model.group if last or not model.group else f"{model.group}, earlier"


def _with_others(named: dict[str, str], models: Iterable[str]) -> dict[str, str]:
    """No more groups of models than a figure shows: those after the first ones together."""
    of = [named[m] for m in models if m in named]
    groups = list(dict.fromkeys(of))
    if not _MOST_VALUES < len(groups) < len(of):
        return named
    kept = set(groups[: _MOST_VALUES - 1])
    others = f"{len(groups) - len(kept)} other groups"
    return {subject: group if group in kept else others for subject, group in named.items()}


def _grouping(name: str, groups: dict[str, str], ordered: bool) -> Grouping:
    values = list(dict.fromkeys(groups.values()))
    return Grouping(name, groups, Palette.ordered(values) if ordered else Palette(dict.fromkeys(values, "")))


def _named(name: str, values: Mapping[str, Any]) -> tuple[dict[str, str], bool]:
    """The name of each subject's group, in order, and whether that order means something."""
    numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values.values())
    if not numeric:
        return {s: str(v) for s, v in values.items()}, False
    distinct = sorted(set(values.values()))
    size = 1 if len(distinct) <= _MOST_VALUES else -(-len(distinct) // _BINS)
    bins = [distinct[i : i + size] for i in range(0, len(distinct), size)]
    names = {v: f"{name} {_span(members)}" for members in bins for v in members}
    return {s: names[v] for s, v in sorted(values.items(), key=lambda item: item[1])}, True


def _span(values: Sequence[float]) -> str:
    ends = dict.fromkeys([values[0], values[-1]])
    return " to ".join(number(v) if isinstance(v, float) else str(v) for v in ends)


def _extended(groups: dict[str, str], subjects: Sequence[str]) -> dict[str, str]:
    """Pairs belong to the group that both models share; the others stand between groups."""
    out = dict(groups)
    for subject in subjects:
        if subject in out:
            continue
        ends = [groups.get(part) for part in subject.split(" ~ ")]
        shared = len(ends) == 2 and None not in ends
        if shared:
            out[subject] = str(ends[0]) if ends[0] == ends[1] else _BETWEEN
        else:
            out[subject] = "other"
    return out
