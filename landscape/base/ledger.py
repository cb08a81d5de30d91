"""Ledger: where a long computation keeps its pieces, so that a kill loses little and workers can share it.

An analysis asks its `Context` for one and never learns where the pieces are. The ledger in a folder is
`landscape.store.ledger.FolderLedger`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

if TYPE_CHECKING:
    from landscape.core.problem.problem import Problem

__all__ = ["Ledger", "MemoryLedger", "Piece", "identity", "in_folder"]

Piece = Mapping[str, NDArray[Any]]
"""What one piece of work gives: arrays by name."""


class Ledger(Protocol):
    """Pieces of one computation, each computed once, whoever computes it."""

    def require(self, name: str, value: Any) -> None:
        """Make sure that all runs which share the pieces have derived the same value.

        Options and inputs that can be hashed are compared anyway. This is for what decides the numbers and
        is known only within the computation: directions, held-out data that a builder made, what a function
        does.

        Args:
            name: Of the value, for the sentence.
            value: Must be writable as JSON.

        Raises:
            InputError: If an earlier run had another value.
        """

    def remember(self, name: str, decide: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """A decision that all runs and workers share: the first to arrive decides.

        Args:
            name: Of the decision.
            decide: Makes it; must be writable as JSON.
        """
        ...

    def collect(
        self,
        names: Sequence[str],
        compute: Callable[[int], Piece],
        on_done: Callable[[int], None] = lambda count: None,
    ) -> list[Piece]:
        """All pieces, in order: read where they exist, else computed here or by another worker.

        Args:
            names: One per piece; file names.
            compute: ``index -> piece``.
            on_done: Called with the number of finished pieces whenever it grows.
        """
        ...

    def save_state(self, name: str, state: Piece) -> None:
        """Keep the state of an unfinished piece, in place of what was kept under that name."""

    def load_state(self, name: str) -> Piece | None:
        """The state last saved under a name; ``None`` if there is none that can be read."""
        ...

    def delete_state(self, name: str) -> None:
        """Forget what was saved under a name."""


class MemoryLedger:
    """The ledger of a computation that keeps nothing: every piece is computed here, once.

    Example:
        >>> MemoryLedger().collect(["a", "b"], lambda index: {"x": index})
        [{'x': 0}, {'x': 1}]
    """

    def require(self, name: str, value: Any) -> None:
        """See `Ledger.require`: nobody else computes."""

    def remember(self, name: str, decide: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """See `Ledger.remember`."""
        return dict(decide())

    def collect(
        self,
        names: Sequence[str],
        compute: Callable[[int], Piece],
        on_done: Callable[[int], None] = lambda count: None,
    ) -> list[Piece]:
        """See `Ledger.collect`."""
        pieces = []
        for index in range(len(names)):
            pieces.append(compute(index))
            on_done(len(pieces))
        return pieces

    def save_state(self, name: str, state: Piece) -> None:
        """See `Ledger.save_state`: a state would be of use to nobody."""

    def load_state(self, name: str) -> Piece | None:
        """See `Ledger.load_state`."""
        return None

    def delete_state(self, name: str) -> None:
        """See `Ledger.delete_state`."""


def in_folder(folder: Path, identity: Mapping[str, Any]) -> Ledger:
    """The ledger in a folder.

    Args:
        folder: Where to keep the pieces.
        identity: What decides the numbers, by name.

    Raises:
        InputError: If the folder holds pieces of another computation.
        StoreError: If the folder cannot be written to.
    """
    # The one place below the runner that names the store: by it `Context(partial=folder)` serves library
    # use, while analyses and all else in this package know the interface alone.
    from landscape.store.ledger import FolderLedger

    return FolderLedger(folder, identity)


def identity(
    analysis: Mapping[str, Any], scope: str, subject: Any, inputs: Mapping[str, Any]
) -> dict[str, Any]:
    """What decides the numbers of a run, by name: subject, options, inputs that can be hashed, schema.

    The number of threads is not among it: a run may go on with another. Nor is what is known of derivatives,
    which is found out on the way.

    Args:
        analysis: The facts of the analysis itself: name, schema, options.
        scope: Its scope, which says what the subject is.
        subject: A problem, two models of one, or problems by name.
        inputs: What no option can hold, by name.
    """
    from landscape.core.problem.fingerprint import describe

    facts = dict(analysis)
    facts |= {f"input {name}": describe(value) for name, value in inputs.items() if value is not None}
    if scope == "group":
        return facts | {f"model {name}": _of_problem(problem) for name, problem in subject.items()}
    if scope == "pair":
        facts |= {"a": describe(subject.a), "b": describe(subject.b)}
        subject = subject.problem
    return facts | _of_problem(subject)


def _of_problem(problem: Problem) -> dict[str, Any]:
    left_out = ("threads", "derivatives_notice", "without_gradient")
    return {name: value for name, value in problem.provenance().items() if name not in left_out}
