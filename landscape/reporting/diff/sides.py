"""Sides: which models of a store are compared with which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from landscape.errors import InputError, suggest
from landscape.store.select import matches

if TYPE_CHECKING:
    from landscape.store.contents import Contents

__all__ = ["Side", "side_of", "sides_of"]


@dataclass(frozen=True)
class Side:
    """One of two that are compared: a model, or the models of a group.

    Attributes:
        name: As it was asked for.
        models: Names of its models, in the order of the store.
    """

    name: str
    models: tuple[str, ...]

    @property
    def several(self) -> bool:
        """Whether it has more than one model."""
        return len(self.models) > 1

    def of(self, results: Mapping[str, Any]) -> list[Any]:
        """The results of its models; of a group that is a subject itself, that of the group."""
        found = [results[m] for m in self.models if m in results]
        return found or [results[n] for n in (self.name,) if n in results]


def side_of(contents: Contents, name: str) -> Side:
    """The models that a name stands for: a model's, a group's, or a pattern such as ``"vit-*"``.

    Raises:
        InputError: If there is none, with the nearest name.
    """
    groups: dict[str, list[str]] = {}
    models: dict[str, None] = {m.name: None for m in contents.models}
    for model in contents.models:
        groups.setdefault(model.group, []).append(model.name)
    for section in contents.sections:  # a model that only the results know
        models |= dict.fromkeys(n for n in section.results if "model_seed" in section.results[n].attrs)
    if name in models:
        return Side(name, (name,))
    if name in groups:
        return Side(name, tuple(groups[name]))
    like = tuple(m for m in models if matches(m, [name]))
    if like:
        return Side(name, like)
    hint = suggest(name, [*models, *(g for g in groups if g)])
    raise InputError(f"the store '{contents.name}' has no model or group '{name}'; {hint}")


def sides_of(contents: Contents, a: str, b: str) -> tuple[Side, Side]:
    """Both sides.

    Raises:
        InputError: If one is not there, or both have a model in common.
    """
    one, other = side_of(contents, a), side_of(contents, b)
    both = [m for m in one.models if m in other.models]
    if both:
        raise InputError(
            f"'{a}' and '{b}' both hold the model '{both[0]}'; give two without a model in common."
        )
    return one, other
