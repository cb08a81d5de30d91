"""Context: what the caller lends to a computation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from landscape.base.ledger import Ledger, MemoryLedger

__all__ = ["Context"]


@dataclass(frozen=True)
class Context:
    """What the caller lends to a computation.

    Attributes:
        progress: Called with the finished fraction in [0, 1], as often as is convenient.
        partial: For library use, a folder in which a long computation keeps its partial results; one of
            the same subject, options and inputs goes on from there.
        inputs: The analysis' non-option inputs (directions, starting vectors) by name.
        groups: The group of each model of a group's subject, by name, where a zoo knows it.
        open_ledger: Makes `ledger`, if there is no ``partial``.
    """

    progress: Callable[[float], None] = lambda fraction: None
    partial: Path | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    open_ledger: Callable[[], Ledger] = MemoryLedger

    @cached_property
    def ledger(self) -> Ledger:
        """Keeps the pieces of the computation; opened at its first use, since most analyses keep none.

        Raises:
            InputError: If the pieces there are of another computation.
            StoreError: If they cannot be kept.
        """
        return self.open_ledger()
