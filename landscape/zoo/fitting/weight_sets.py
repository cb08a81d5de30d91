"""Weight sets: every mapping of a file that may be a model's weights, and where in the file it stands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from landscape.errors import CheckpointError, suggest
from landscape.text import foreign
from landscape.zoo.reading.modules import as_tensor, module_state
from landscape.zoo.reading.stubs import Stub

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["USUAL", "WeightSet", "called", "likeliest", "sets_within"]

USUAL = ("state_dict", "model_state_dict", "model")
"""Under which keys weights are looked for first."""

_DEEPEST = 10
_MOST_PLACES = 100_000
_LONGEST_LIST = 1000
_NOT_WEIGHTS = re.compile(r"optim|sched|scaler|rng|random|param_groups", re.IGNORECASE)


@dataclass(frozen=True)
class WeightSet:
    """Tensors by name, as they stand together in a file.

    Attributes:
        path: The keys and numbers that lead there, outermost first; empty for the file itself.
        state: The tensors.
    """

    path: tuple[str, ...]
    state: Mapping[str, Tensor]

    @property
    def name(self) -> str:
        """Where it stands, as a text."""
        return ".".join(foreign(part, 60) for part in self.path)


def sets_within(content: Any) -> list[WeightSet]:
    """All mappings from names to tensors at any depth of what a file holds, the outer before the inner.

    Modules count as what ``state_dict`` would give of them, and nothing is looked for within them.

    Args:
        content: What was read of a file; stubs are looked into.
    """
    found: list[WeightSet] = []
    seen: set[int] = set()
    todo: list[tuple[tuple[str, ...], Any]] = [((), content)]
    while todo and len(seen) < _MOST_PLACES:
        path, value = todo.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        whole = module_state(value)
        if isinstance(whole, Mapping):
            arrays = {k: as_tensor(v) for k, v in whole.items() if isinstance(k, str)}
            state = {k: v.detach() for k, v in arrays.items() if v is not None}
            if state:
                found.append(WeightSet(path, state))
        if len(path) < _DEEPEST:
            todo += reversed([((*path, key), inner) for key, inner in _below(value)])
    return found


def _below(value: Any) -> Iterator[tuple[str, Any]]:
    """What a container holds that may hold weights in its turn, by key or number."""
    import torch

    if isinstance(value, torch.nn.Module):
        return
    items: Any = ()
    if isinstance(value, Stub):
        if isinstance(value.fields.get("_parameters"), Mapping):
            return
        items = [*value.entries.items(), *value.fields.items(), *enumerate(value.elements[:_LONGEST_LIST])]
    elif isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value[:_LONGEST_LIST])
    for key, inner in items:
        if isinstance(inner, Mapping | list | tuple | Stub | torch.nn.Module):
            yield str(key), inner


def likeliest(sets: list[WeightSet]) -> WeightSet | None:
    """The set that is most probably the model's, for whoever does not know the model; ``None`` of none.

    That is the one under `USUAL` keys, else the largest, of an optimiser or random numbers left aside.
    """
    weights = [s for s in sets if not any(_NOT_WEIGHTS.search(part) for part in s.path)]
    usual = [s for s in weights if s.path and all(part in USUAL for part in s.path)]
    if usual:
        first = min(usual, key=lambda s: [USUAL.index(part) for part in s.path])
        inner = [s for s in usual if s.path[: len(first.path)] == first.path]
        return max(inner, key=lambda s: len(s.path))
    return max(weights, key=lambda s: len(s.state), default=None)


def called(sets: list[WeightSet], name: str, where: str) -> list[WeightSet]:
    """Those sets that a user calls by a name: by the whole path, by a key of it, or by a word in a key.

    Args:
        sets: All sets of a file.
        name: Such as ``ema`` for what stands under ``state_dict_ema``.
        where: The file, for error messages.

    Raises:
        CheckpointError: If there is none.

    Example:
        >>> sets = [WeightSet(("state_dict",), {}), WeightSet(("state_dict_ema",), {})]
        >>> [s.name for s in called(sets, "ema", "x.pt")], [s.name for s in called(sets, "state_dict", "")]
        (['state_dict_ema'], ['state_dict'])
    """
    for fits in (
        lambda s: s.name == name,
        lambda s: name in s.path,
        lambda s: any(name.lower() in re.split(r"[^a-z0-9]+", part.lower()) for part in s.path),
    ):
        chosen = [s for s in sets if fits(s)]
        if chosen:
            return chosen
    names = [s.name for s in sets if s.path]
    there = suggest(name, names) if names else "its weights stand at the top, under no name."
    raise CheckpointError(f"checkpoint '{where}' holds no weights called '{name}'; {there}")
