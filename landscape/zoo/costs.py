"""Costs: how long tasks took, kept in the store, so that the next estimate need not guess."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from landscape.store import Store
from landscape.store.files import write_bytes
from landscape.store.records import validated
from landscape.store.within import read_text
from landscape.zoo.spec import PredictiveModel

if TYPE_CHECKING:
    from landscape.zoo.task import Setup, Task

__all__ = ["Costs", "cost_key"]

_MOST = 10_000  # kinds of tasks: the file stays small, whatever a store has seen


class Costs:
    """Mean seconds of tasks alike: of one analysis with one set of options, on models of one builder.

    Example:
        >>> costs = Costs()
        >>> costs.note("a", 2.0); costs.note("a", 4.0); costs.seconds("a"), costs.seconds("b")
        (3.0, None)
    """

    def __init__(self) -> None:
        self._noted: dict[str, tuple[int, float]] = {}

    def note(self, key: str, seconds: float) -> None:
        """Take the time of one task."""
        count, mean = self._noted.get(key, (0, 0.0))
        self._noted[key] = count + 1, (count * mean + seconds) / (count + 1)

    def seconds(self, key: str) -> float | None:
        """Mean seconds of tasks of that kind; ``None`` if none has been measured."""
        known = self._noted.get(key)
        return None if known is None else known[1]

    @classmethod
    def of(cls, home: Store) -> Costs:
        """What a store remembers; nothing if that cannot be read."""
        costs = cls()
        try:
            known = validated(dict[str, tuple[int, float]], read_text(home.directory / "costs.json"))
        except (OSError, ValueError):
            return costs
        costs._noted = {key: value for key, value in known.items() if value[0] > 0 and value[1] >= 0}
        return costs

    def keep(self, home: Store) -> None:
        """Write these over what the store remembers of the same kinds; the others stay.

        Raises:
            StoreError: If the store cannot be written to.
        """
        if not self._noted:
            return
        merged = {**Costs.of(home)._noted, **self._noted}
        text = json.dumps(dict(list(merged.items())[-_MOST:]))
        with home.writing() as within:
            write_bytes(home.directory / "costs.json", text.encode(), within=within)


def cost_key(task: Task, setup: Setup) -> str:
    """What tasks that take equally long have in common: all but weights, names and seeds of models."""
    models = [[m.made_by.facts(), _members(m)] for m in task.members] + [len(task.given)]
    facts = [task.folder, json.loads(task.options), models, task.examples]
    facts += [setup.fingerprint, setup.problem.facts()]
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _members(model: object) -> list[object]:
    return [m.made_by.facts() for m in model.members] if isinstance(model, PredictiveModel) else []
