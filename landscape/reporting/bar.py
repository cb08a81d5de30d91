"""Choices: what a reader of the page may choose in its bar, and who each model is for that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from landscape.plotting.backends.plotly_layout import escape
from landscape.plotting.model_groupings import Grouping
from landscape.trainings import PROGRESS

if TYPE_CHECKING:
    from landscape.store.contents import Contents, ModelRecord

__all__ = ["Choices", "choices"]

_LEAST_MOMENTS = 3  # of two, comparing models one by one shows more than a film


@dataclass(frozen=True)
class Choices:
    """The models of a page by group and seed.

    Attributes:
        names: All models, in the order of the zoo.
        group: The group of each, ``""`` if it has none.
        seed: The seed of each as a text, ``""`` if it has none.
        ways: The names of the ways of comparing; the first is shown.
        grouped: For each way that groups models: the group of each model, ``""`` if it has none.
        progress: The tag of how far training had come, ``"epoch"`` or ``"step"``; ``""`` if there is no run.
        moments: How far the training of each model had come, ``None`` where that is not known.
    """

    names: tuple[str, ...]
    group: tuple[str, ...]
    seed: tuple[str, ...]
    ways: tuple[str, ...]
    grouped: dict[str, tuple[str, ...]]
    progress: str = ""
    moments: tuple[float | None, ...] = ()

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
    def times(self) -> list[float]:
        """The moments of training to go through, in order."""
        return sorted({m for m in self.moments if m is not None})

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
            "progress": self.progress,
            "moments": self.moments,
            "times": self.times,
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
    progress, moments = _training(models)
    return Choices(
        names=tuple(m.name for m in models),
        group=tuple(m.group for m in models),
        seed=tuple("" if m.seed is None else str(m.seed) for m in models),
        ways=tuple(ways),
        grouped={g.name: tuple(g.groups.get(m.name, "") for m in models) for g in groupings},
        progress=progress,
        moments=moments,
    )


def _training(models: Sequence[ModelRecord]) -> tuple[str, tuple[float | None, ...]]:
    """The tag that tells how far training had come, if at least three moments are known, and its values."""
    for name in PROGRESS:
        moments = tuple(
            float(v) if isinstance(v := m.tags.get(name), int | float) and not isinstance(v, bool) else None
            for m in models
        )
        if len({m for m in moments if m is not None}) >= _LEAST_MOMENTS:
            return name, moments
    return "", ()
