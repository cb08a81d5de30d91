"""Groups, runs and tags of scanned checkpoints: variants, repeated with several seeds, at several times."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from landscape.errors import InputError, suggest
from landscape.trainings import PROGRESS
from landscape.zoo.checkpoint import without_ending
from landscape.zoo.layouts.name_parts import Parts, parts_of
from landscape.zoo.layouts.run_metadata import facts_in_config
from landscape.zoo.spec import Model

__all__ = ["BY", "Grouped", "grouped", "regrouped"]

BY = ("name", "folder", "none")
"""What groups can be made by, beside tags."""

_OF_RUNS = {*PROGRESS, "state", "seed", "run", "checkpoint"}
_MOST_SEEDS = 100  # a number below is a seed if nothing says what it is, and its fellows are near
_MOST_NAMES = 60  # characters of the name of a group


@dataclass(frozen=True)
class Grouped:
    """Models with their groups, and what could not be told for sure, a sentence each."""

    models: tuple[Model, ...]
    notes: tuple[str, ...] = ()


def grouped(models: Sequence[Model], labels: Sequence[str], recorded: Sequence[Mapping[str, Any]]) -> Grouped:
    """Give every checkpoint its group, its run within it, its seed, and tags for what varies.

    The group is the path without seed and step, and without what all paths have in common; runs without names
    (of Lightning, wandb, Hydra) are told apart by the hyperparameters recorded beside them. A group that a
    layout gave stays.

    Args:
        models: As layouts found them.
        labels: What each is called after: a relative path, with or without an ending.
        recorded: Of each, the tags that are recorded and not read off the path.
    """
    notes: list[str] = []
    parts = [parts_of(without_ending(label)) for label in labels]
    parts, seeds = _with_seeds(models, parts, recorded, notes)
    variants = _shortened([p.variant for p in parts])
    models = [replace(m, seed=seed) for m, seed in zip(models, seeds, strict=True)]
    names = ["-".join(v) for v in variants]
    settings = _settings(models, names, recorded)
    names = [m.group or _joined(n, s) for m, n, s in zip(models, names, settings, strict=True)]
    alone = len(names) > 1 and len(set(names)) == len(names) and all(s is None for s in seeds)
    if alone and not any(m.group for m in models):
        names = [""] * len(names)  # each the only one of its name: a group would say what the name says
    runs = _runs(models, parts, names)
    tags = _tags(models, variants, parts, runs)
    out = tuple(
        replace(m, group=name, run=run, tags={**m.tags, **more})
        for m, name, run, more in zip(models, names, runs, tags, strict=True)
    )
    return Grouped(out, tuple(notes))


def _with_seeds(
    models: Sequence[Model], parts: Sequence[Parts], recorded: Sequence[Mapping[str, Any]], notes: list[str]
) -> tuple[list[Parts], list[int | None]]:
    """Seeds as recorded or stated; else numbers that stand alone, where they are near one another."""
    known = [m.seed if m.seed is not None else p.seed for m, p in zip(models, parts, strict=True)]
    alike: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for i, p in enumerate(parts):
        if p.number is not None and not models[i].group:
            alike[p.without_number].append(i)
    out = list(parts)
    for members in alike.values():
        numbers = {parts[i].number or 0 for i in members}
        near = max(numbers) < _MOST_SEEDS and max(numbers) - min(numbers) < 4 * len(numbers)
        if len(numbers) < 2 or not near:
            continue
        told = {known[i] for i in members} - {None} or _vary([recorded[i] for i in members])
        for i in members:
            p = parts[i]
            out[i] = replace(p, variant=p.without_number)
            known[i] = known[i] if told else p.number
        if not told:
            shown = _shown(parts[members[0]])
            notes.append(f"the number in '{shown}' is taken for the seed; no word says so.")
    return out, known


def _vary(recorded: Sequence[Mapping[str, Any]]) -> bool:
    """Whether settings tell runs apart, so that their numbers are those of jobs and no seeds."""
    keys = {k for tags in recorded for k in tags} - _OF_RUNS
    return any(len({str(tags.get(k)) for tags in recorded}) > 1 for k in keys)


def _shown(parts: Parts) -> str:
    """A path as it is left after what says how far training had come."""
    return "/".join(parts.run) or "/".join(parts.variant)


def _shortened(variants: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Paths without the folders that all have in common; where nothing is left, the last of them."""
    common = set.intersection(*(set(v) for v in variants)) if variants else set()
    short = [tuple(c for c in v if c not in common) for v in variants]
    names = {v[-1] for v in short if len(v) > 1}
    if len(names) == 1:  # files of one name in folders of several
        short = [v[:-1] if len(v) > 1 else v for v in short]
    return [s or v[-1:] for s, v in zip(short, variants, strict=True)]


def _settings(
    models: Sequence[Model], names: Sequence[str], recorded: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Recorded hyperparameters that vary within one name, where they tell variants and not runs apart."""
    out: list[dict[str, Any]] = [{} for _ in models]
    alike: dict[str, list[int]] = defaultdict(list)
    for i, name in enumerate(names):
        if not models[i].group:
            alike[name].append(i)
    for members in alike.values():
        keys = dict.fromkeys(k for i in members for k in recorded[i] if k not in _OF_RUNS)
        for key in keys:
            values = [recorded[i].get(key) for i in members]
            # One value for each checkpoint is a name, a time or a loss, and no setting.
            if len(set(map(str, values))) > 1 and (
                len(set(map(str, values))) < len(members) or len(members) < 4
            ):
                for i, value in zip(members, values, strict=True):
                    out[i][key] = value
    return out


def _joined(name: str, settings: Mapping[str, Any]) -> str:
    said = [f"{k}={v}" for k, v in settings.items() if v is not None and not _says(name, k, v)]
    whole = "-".join([name, *said] if name else said)
    return whole if len(whole) <= _MOST_NAMES or not said else whole[:_MOST_NAMES]


def _says(name: str, key: str, value: Any) -> bool:
    return str(value).lower() in re.split(r"[-_/]", name.lower()) or f"{key}={value}" in name


def _runs(models: Sequence[Model], parts: Sequence[Parts], names: Sequence[str]) -> list[str]:
    """The run of each checkpoint of which there are several; runs of one checkpoint need no name."""
    keys = [(name, p.run if p.run else (), m.seed) for m, p, name in zip(models, parts, names, strict=True)]
    several = Counter(keys)
    common = set.intersection(*(set(p.run) for p in parts)) if parts else set()
    out = []
    for key, p, model in zip(keys, parts, models, strict=True):
        if several[key] < 2:
            out.append("")
            continue
        short = [c for c in p.run if c not in common] or list(p.run[-1:])
        seed = "" if model.seed is None else f"s{model.seed}"
        out.append("-".join(short) or seed or key[0] or "run")
    return out


def _tags(
    models: Sequence[Model], variants: Sequence[tuple[str, ...]], parts: Sequence[Parts], runs: Sequence[str]
) -> list[dict[str, Any]]:
    """Words of the names that vary: ``key=value`` under their key, words that may lack as yes or no."""
    tags: list[dict[str, Any]] = [{} for _ in models]
    words = [[w for c in v for w in re.split(r"[-_,]", c) if w] for v in variants]
    for i, part in enumerate(parts):
        if runs[i] and part.state:
            tags[i]["state"] = part.state
    for i, variant in enumerate(variants):
        for component in variant:
            for key, value in re.findall(r"(?:^|[-,])([A-Za-z][\w.]*?)=([^-_,=]+)", component):
                name = _setting(key)
                if name not in models[i].tags:
                    tags[i][name] = _value(value)
    if len({tuple(w) for w in words}) < 3:  # two names differ in one thing, which is the group
        return tags
    counts = {len(w) for w in words}
    if len(counts) == 1:
        varying = [p for p in range(counts.pop()) if len({w[p] for w in words}) > 1]
        if len(varying) > 1 and not any("=" in w[p] for w in words for p in varying):
            for place in varying:
                name, read = _named([w[place] for w in words], place)
                for i, w in enumerate(words):
                    if not _known(models[i], w[place]):
                        tags[i][name] = read(w[place])
        return tags
    for word in dict.fromkeys(w for ws in words for w in ws if "=" not in w):
        for i, present in _there_or_not(words, word).items():
            tags[i][word] = "yes" if present else "no"
    return tags


def _there_or_not(words: Sequence[Sequence[str]], word: str) -> dict[int, bool]:
    """Which names have a word, and which lack just it; none unless two different names are made from it."""
    whole = {tuple(ws) for ws in words}
    bases = {tuple(x for x in ws if x != word) for ws in words if word in ws} & whole - {()}
    if len(bases) < 2:
        return {}
    found = {i: tuple(x for x in ws if x != word) for i, ws in enumerate(words)}
    return {i: word in words[i] for i, base in found.items() if base in bases}


def _setting(key: str) -> str:
    """The usual name of a setting that words may stand before: ``train_fn_lr`` is a learning rate."""
    parts = key.strip("_").split("_")
    for start in range(len(parts)):
        name = next(iter(facts_in_config({"_".join(parts[start:]): 0}, known_only=True).tags), None)
        if name is not None:
            return name
    return parts[-1] if len(parts) > 2 else "_".join(parts)


def _known(model: Model, word: str) -> bool:
    """Whether a tag has the number of a word already: ``w8`` is a width."""
    number = re.fullmatch(r"[A-Za-z]+(\d+(?:\.\d+)?(?:e-?\d+)?)", word)
    return number is not None and float(number[1]) in [
        v for v in model.tags.values() if isinstance(v, int | float)
    ]


def _named(values: Sequence[str], place: int) -> tuple[str, Callable[[str], Any]]:
    """A name for a word that varies, and how its values are read."""
    distinct = sorted(set(values), key=len)
    if len(distinct) == 2 and distinct[1].lower() in (
        f"no{distinct[0]}".lower(),
        f"without{distinct[0]}".lower(),
    ):
        return distinct[0], lambda word: "yes" if word == distinct[0] else "no"
    numbers = [re.fullmatch(r"([A-Za-z]+)(\d+(?:\.\d+)?)", v) for v in distinct]
    if all(numbers) and len({n[1] for n in numbers if n}) == 1:
        return str(numbers[0][1] if numbers[0] else ""), lambda word: _value(re.sub(r"^[A-Za-z]+", "", word))
    return f"part {place + 1}", _value


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def regrouped(models: Sequence[Model], by: str) -> tuple[Model, ...]:
    """The models in other groups.

    Args:
        models: With groups made by name.
        by: ``name``, ``folder``, ``none``, or tags with commas between them, such as ``arch,width``.

    Raises:
        InputError: If there is no such tag.
    """
    if by == "name":
        return tuple(models)
    if by == "none":
        return tuple(replace(m, group="") for m in models)
    if by == "folder":
        return tuple(replace(m, group="-".join(m.shown.split("/")[:-1])) for m in models)
    names = [name.strip() for name in by.split(",")]
    known = dict.fromkeys(t for m in models for t in m.tags)
    for name in names:
        if name not in known:
            raise InputError(
                f"--group-by takes {', '.join(BY)} or tags that the checkpoints have, and no checkpoint has a"
                f" tag '{name}'; {suggest(name, [*BY, *known])}"
            )

    def group(model: Model) -> str:
        found = [
            f"{n}={model.tags[n]}" if len(names) > 1 or _is_number(model.tags[n]) else str(model.tags[n])
            for n in names
            if n in model.tags
        ]
        return "-".join(found).replace("/", "_")

    return tuple(replace(m, group=group(m)) for m in models)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)
