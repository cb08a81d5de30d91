"""Subjects: whom a section looks at, and which checkpoints fill the inputs that it needs."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from landscape.errors import InputError, suggest
from landscape.trainings import PROGRESS, ends_of_runs, trainings
from landscape.zoo.checkpoint import without_ending
from landscape.zoo.layouts.names import facts_in_name
from landscape.zoo.spec import Model, PredictiveModel, SectionSpec

if TYPE_CHECKING:
    from landscape.base.analysis import Analysis
    from landscape.base.from_zoo import FromZoo

__all__ = ["Subject", "in_order", "progress_of", "subjects_of", "why_none"]


@dataclass(frozen=True)
class Subject:
    """What one result of a section is about.

    Attributes:
        name: Of a model, a pair or a group.
        members: The models whose problems it takes.
        given: The models whose states fill ``input``, in order.
        input: An input of the analysis that the zoo fills; empty for none.
    """

    name: str
    members: tuple[Model, ...]
    given: tuple[Model, ...] = ()
    input: str = ""


def subjects_of(
    section: SectionSpec, analysis: Analysis, everyone: Sequence[Model], fill: FromZoo | None = None
) -> list[Subject]:
    """Models and predictives, pairs of like models, or groups, as the analysis and its options want.

    Args:
        section: Its globs choose models.
        analysis: Its scope says what a subject is.
        everyone: Models and predictives of the zoo, in order.
        fill: Which input the checkpoints of a group are to fill.

    Raises:
        InputError: If a glob matches no model, or an input cannot be filled.
    """
    models = _chosen(section, analysis, everyone)
    if fill is not None:
        return list(_filled(section, analysis, models, fill))
    if analysis.scope == "checkpoint":
        return [Subject(m.name, (m,)) for m in models]
    groups = _ends(_groups(section, models))
    if analysis.scope == "group":
        return [Subject(_called(group, groups), tuple(members)) for group, members in groups.items()]
    return [pair for members in groups.values() for pair in _pairs(members)]


def why_none(section: SectionSpec, analysis: Analysis, everyone: Sequence[Model]) -> str:
    """Why a section has no subject, or only groups of one, as part of a sentence; empty if it has some."""
    models = _chosen(section, analysis, everyone)
    if not models:
        return "the zoo has no checkpoints that it could look at"
    if analysis.scope == "checkpoint":
        return ""
    groups = _ends(_groups(section, models))
    if max(map(len, groups.values())) < 2:
        together = "" if section.together or len(groups) == 1 else ", or say together = true"
        return f'no group has two models; give those to be compared one group = "..."{together}'
    if analysis.scope == "pair" and not any(True for members in groups.values() for _ in _pairs(members)):
        return "no group has two models of one builder"
    return ""


def in_order(models: Sequence[Model]) -> list[Model]:
    """Checkpoints of a run in the order of training, as their tags or names state epoch or step.

    Where these do not state the same of all, the order is that of the zoo.
    """
    found = progress_of(models)
    if found is None:
        return list(models)
    return [models[i] for i in sorted(range(len(models)), key=found[1].__getitem__)]


def progress_of(models: Sequence[Model]) -> tuple[str, list[float]] | None:
    """What counts how far training had come, epoch or step, and how far; ``None`` if not all state it."""
    stated = [{**facts_in_name(without_ending(m.shown or m.path.name)).tags, **m.tags} for m in models]
    for name in PROGRESS:
        numbers = [tags.get(name) for tags in stated]
        known = [n for n in numbers if isinstance(n, int | float)]
        if len(known) == len(models) and len(set(known)) > 1:
            return name, [float(n) for n in known]
    return None


def _chosen(section: SectionSpec, analysis: Analysis, everyone: Sequence[Model]) -> list[Model]:
    models = [m for m in everyone if _suits(m, analysis)]
    names = [m.name for m in models]
    for pattern in section.models:
        if names and not fnmatch.filter(names, pattern):
            others = fnmatch.filter([m.name for m in everyone], pattern)
            if others:
                raise InputError(
                    f"[analyses.{section.label}]: '{analysis.name}' looks at one network's landscape, and"
                    f" '{others[0]}' is a predictive; only analyses of predictions take these."
                )
            raise InputError(
                f"no model matches '{pattern}' of [analyses.{section.label}]; {suggest(pattern, names)}"
            )
    return [m for m in models if any(fnmatch.fnmatchcase(m.name, p) for p in section.models)]


def _suits(model: Model, analysis: Analysis) -> bool:
    """Whether an analysis takes a model: predictives only for one that says so, and one by one."""
    predictions_alone = analysis.takes == "predictive" and analysis.scope == "checkpoint"
    return predictions_alone or not isinstance(model, PredictiveModel)


def _groups(section: SectionSpec, models: Sequence[Model]) -> dict[str, list[Model]]:
    groups: dict[str, list[Model]] = {}
    for model in models:
        groups.setdefault("" if section.together else model.group, []).append(model)
    return groups


def _ends(groups: dict[str, list[Model]]) -> dict[str, list[Model]]:
    """The groups with the last checkpoint of each run; one run alone is compared with its other times."""
    out = {}
    for group, members in groups.items():
        last = ends_of_runs(members)
        kept = [m for m in members if last[m.name]]
        out[group] = kept if len(kept) > 1 else members
    return out


def _trajectories(groups: dict[str, list[Model]]) -> dict[str, list[Model]]:
    """The trainings of each group, under their own names where there are several; else the groups."""
    out: dict[str, list[Model]] = {}
    for group, members in groups.items():
        of = trainings(members)
        runs = {t: [m for m in members if of[m.name] == t] for t in dict.fromkeys(of.values()) if t}
        if not runs or not (all(of.values()) or any(m.run for m in members)):
            out[group] = members
            continue
        for run in runs.values():
            out[group if len(runs) == 1 else f"{group} {_training(run[0], members)}".strip()] = run
    return out


def _training(model: Model, members: Sequence[Model]) -> str:
    """What a training is called: its run, else its seed and the tags in which the group's differ."""
    if model.run:
        return model.run
    said = [] if model.seed is None else [f"s{model.seed}"]
    for name, value in model.tags.items():
        if name not in PROGRESS and any(m.tags.get(name) != value for m in members):
            said.append(f"{name}={value}")
    return " ".join(said)


def _called(group: str, groups: dict[str, list[Model]]) -> str:
    return group or ("all" if len(groups) == 1 else "ungrouped")


def _pairs(members: Sequence[Model]) -> Iterator[Subject]:
    for a, b in combinations(members, 2):
        if a.builder == b.builder:
            yield Subject(f"{a.name} ~ {b.name}", (a, b))


def _filled(
    section: SectionSpec, analysis: Analysis, models: Sequence[Model], fill: FromZoo
) -> Iterator[Subject]:
    """Subjects whose inputs are the states of a group's checkpoints."""
    where = f"[analyses.{section.label}]"
    if fill.refused:
        raise InputError(
            f"{where}: {fill.option} {fill.refused}, which no manifest and no command holds; call"
            f" landscape.{analysis.name}(problem, {fill.name}=...)."
        )
    groups = _groups(section, models)
    groups = _trajectories(groups) if fill.each == "group" and not fill.most else _ends(groups)
    for group, members in groups.items():
        name = _called(group, groups)
        count = len(members)
        if count < fill.least or (fill.each == "group" and fill.most and count > fill.most):
            wanted = f"{fill.least}" if fill.most == fill.least else f"{fill.least} or more"
            raise InputError(
                f"{where}: {fill.option} takes {wanted} checkpoints of a group, and group '{name}' has"
                f' {count}; choose with models = ["..."] there, or set group of [[checkpoints]].'
            )
        ordered = in_order(members)
        if fill.what == "training":
            yield Subject(name, tuple(ordered), (), fill.name)
            continue
        if fill.each == "pair":
            pairs = [Subject(p.name, p.members[:1], p.members, fill.name) for p in _pairs(ordered)]
            if not pairs:
                raise _unlike(where, fill, name)
            yield from pairs
            continue
        if any(m.builder != members[0].builder for m in members):
            raise _unlike(where, fill, name)
        main = ordered[0] if fill.main == "first" else ordered[-1]
        yield Subject(name, (main,), tuple(ordered), fill.name)


def _unlike(where: str, fill: FromZoo, group: str) -> InputError:
    return InputError(
        f"{where}: {fill.option} takes checkpoints of one builder, and those of group '{group}' differ;"
        ' choose with models = ["..."].'
    )
