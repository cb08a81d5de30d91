"""Gathering: the figures of single models that show the same of each become panels of one figure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from landscape.base.figure import Axis, FigureSpec
from landscape.base.panels import side_by_side

__all__ = ["MOST_PANELS", "gathered", "leading_first", "owner"]

MOST_PANELS = 12
"""Panels of one figure; of more models, each keeps a figure of its own."""

_NUMBERED = re.compile(r"(.+?)[-_]\d+(?:[-_]\d+)*")
_COLON = re.compile(": ")


def owner(title: str, known: Collection[str]) -> str | None:
    """The longest of the known names that a title ends in, behind a colon; ``None`` if there is none.

    Example:
        >>> owner("Loss: b: a", {"a", "b: a"}), owner("Loss", {"a"})
        ('b: a', None)
    """
    # From the left, since names may hold colons too; each end is looked up, and no name is compared.
    ends = (title[place.end() :] for place in _COLON.finditer(title))
    return next((end for end in ends if end in known), None)


def gathered(specs: Sequence[FigureSpec], labels: Iterable[str]) -> list[FigureSpec]:
    """The figures with those of single models side by side: ``loss-1``, ``loss-2``, ... become ``loss``.

    They are told by their names, by their titles, which end in the model's name, and by what their axes show.

    Args:
        specs: Figures of one analysis.
        labels: The models, pairs or groups that they are of.
    """
    known = set(labels)
    families: dict[object, list[tuple[int, str]]] = {}
    for i, spec in enumerate(specs):
        of = owner(spec.title, known)
        numbered = _NUMBERED.fullmatch(spec.name)
        if of is None or numbered is None or spec.panels:
            continue
        key = (numbered[1], spec.title.removesuffix(f": {of}"), _shown(spec.x), _shown(spec.y), spec.equal)
        families.setdefault(key, []).append((i, of))
    found: dict[int, FigureSpec] = {}
    gone: set[int] = set()
    taken = {spec.name for spec in specs}
    for members in families.values():
        if not 2 <= len(members) <= MOST_PANELS or len({of for _, of in members}) < len(members):
            continue
        first = members[0][0]
        numbered = _NUMBERED.fullmatch(specs[first].name)
        assert numbered is not None
        name = numbered[1] if numbered[1] not in taken else specs[first].name
        taken.add(name)
        title = specs[first].title.removesuffix(f": {members[0][1]}")
        captions = {of: specs[i].caption for i, of in members}
        parts = [replace(specs[i], title=of, leads=False) for i, of in members]
        whole = side_by_side(name, title, parts, caption=common_caption(captions))
        found[first] = replace(whole, leads=any(specs[i].leads for i, _ in members))
        gone |= {i for i, _ in members[1:]}
    return [found.get(i, spec) for i, spec in enumerate(specs) if i not in gone]


def leading_first(specs: Sequence[FigureSpec]) -> list[FigureSpec]:
    """The figures with the one that stands for them all in front: which says so, or the first."""
    lead = next((i for i, spec in enumerate(specs) if spec.leads), 0)
    return [*specs[lead : lead + 1], *specs[:lead], *specs[lead + 1 :]]


def common_caption(captions: dict[str, str]) -> str:
    """What all captions say, and after it what is said of each alone.

    Example:
        >>> common_caption({"a": "Loss of a plane. Rank 1.", "b": "Loss of a plane. Rank 2."})
        'Loss of a plane. a: Rank 1. b: Rank 2.'
    """
    said = {of: re.split(r"(?<=\.)\s+", caption.strip()) for of, caption in captions.items()}
    first = next(iter(said.values()))
    common = [s for s in first if all(s in sentences for sentences in said.values())]
    own = {of: [s for s in sentences if s not in common] for of, sentences in said.items()}
    return " ".join([*common, *(f"{of}: {' '.join(rest)}" for of, rest in own.items() if rest)])


def _shown(axis: Axis) -> tuple[str, str, str]:
    return axis.label, axis.unit, axis.scale
