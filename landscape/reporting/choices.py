"""Choices: what a reader of the page may choose in its bar, and who each model is for that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from landscape.plotting.backends.plotly_layout import escape
from landscape.plotting.model_groupings import Grouping

if TYPE_CHECKING:
    from landscape.store.contents import Contents

__all__ = ["Choices", "choices"]


@dataclass(frozen=True)
class Choices:
    """The models of a page by group and seed.

    Attributes:
        names: All models, in the order of the zoo.
        group: The group of each, ``""`` if it has none.
        seed: The seed of each as a text, ``""`` if it has none.
        ways: The names of the ways of comparing; the first is shown.
        grouped: For each way that groups models: the group of each model, ``""`` if it has none.
    """

    names: tuple[str, ...]
    group: tuple[str, ...]
    seed: tuple[str, ...]
    ways: tuple[str, ...]
    grouped: dict[str, tuple[str, ...]]

    @property
    def groups(self) -> list[str]:
        """The groups to choose from; none where all models are of one."""
        return _several(self.group)

    @property
    def seeds(self) -> list[str]:
        """The seeds to choose from, in order; none where all models have the same."""
        found = _several(self.seed)
        return sorted(found, key=lambda s: (len(s), s))

    @property
    def by_group(self) -> dict[str, list[str]]:
        """The models to highlight, by group."""
        out: dict[str, list[str]] = {}
        for name, group in zip(self.names, self.group, strict=True):
            out.setdefault(group, []).append(name)
        return out

    def plain(self) -> dict[str, Any]:
        """What the page's script knows of the models; ``shown`` are names that a figure writes otherwise."""
        return {
            "names": self.names,
            "group": self.group,
            "seed": self.seed,
            "ways": self.ways,
            "grouped": self.grouped,
            "shown": {n: escape(n) for n in self.names if escape(n) != n},
        }


def _several(values: Sequence[str]) -> list[str]:
    found = list(dict.fromkeys(filter(None, values)))
    return found if len(found) > 1 else []


def choices(contents: Contents, ways: Sequence[str], groupings: Sequence[Grouping]) -> Choices:
    """What can be chosen among the models of a store.

    Args:
        contents: The store.
        ways: The names of the ways of comparing, the first being shown.
        groupings: Those ways that group models.
    """
    models = contents.models
    return Choices(
        names=tuple(m.name for m in models),
        group=tuple(m.group for m in models),
        seed=tuple("" if m.seed is None else str(m.seed) for m in models),
        ways=tuple(ways),
        grouped={g.name: tuple(g.groups.get(m.name, "") for m in models) for g in groupings},
    )
