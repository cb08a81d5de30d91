"""Sweeps: many points of a plane, evaluated in pieces that survive the process and can be shared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from landscape.base.ledger import Ledger, Piece
    from landscape.core.problem.evaluator import Evaluator
    from landscape.core.surfaces.plane import Marker

__all__ = ["Sweep", "join", "stack"]

Array = NDArray[np.float64]
Index = NDArray[np.intp]

CHUNK = 4
"""Points or checkpoints in one piece of an adaptive sweep."""


class Sweep:
    """Evaluates the points of a plane, reporting progress.

    Args:
        evaluator: Measures a point.
        ledger: Keeps finished pieces.
        progress: Called with the finished fraction.
        total: How many points there will be in all.
    """

    def __init__(
        self, evaluator: Evaluator[Any], ledger: Ledger, progress: Callable[[float], None], total: int
    ) -> None:
        self._evaluator = evaluator
        self._ledger = ledger
        self._progress = progress
        self._total = max(total, 1)
        self._done = 0

    def pieces(self, name: str, pieces: Sequence[Array | Sequence[Sequence[float]]]) -> list[Piece]:
        """Measures at the points of each piece, given as steps (n, k): arrays (n, ...) by name."""
        return self._collect(name, pieces, self._evaluator.values)

    def grid(self, x: Array, y: Array) -> dict[str, Array]:
        """Measures on a whole grid, arrays (ny, nx, ...) by name; a row is a piece."""
        return stack(self.pieces("row", [[(a, b) for a in x] for b in y]))

    def refined(
        self, x: Array, y: Array, budget: int, bend: Callable[[Array], Array]
    ) -> tuple[dict[str, Array], NDArray[np.bool_]]:
        """Measures where the surface bends most, NaN elsewhere, and where that is.

        Args:
            x: Steps (nx,).
            y: Steps (ny,).
            budget: How many points to evaluate.
            bend: What of the loss must be resolved.
        """
        from landscape.core.surfaces.adaptive_grid import refine

        shape = len(y), len(x)
        fields: dict[str, Array] = {}
        turn = 0

        def name() -> str:
            return f"round-{turn:04d}"

        def agree(chosen: Index) -> Index:
            """The choice of the first worker to make it: interpolants may round differently elsewhere."""
            made = self._ledger.remember(name(), lambda: {"chosen": chosen.tolist()})
            return np.array(made["chosen"], dtype=np.intp)

        def evaluate(chosen: Index) -> Array:
            nonlocal turn
            rows, columns = np.unravel_index(chosen, shape)
            steps = [(x[c], y[r]) for r, c in zip(rows, columns, strict=True)]
            found = join(self.pieces(name(), [steps[i : i + CHUNK] for i in range(0, len(steps), CHUNK)]))
            turn += 1
            for key, values in found.items():
                field = fields.setdefault(key, np.full((*shape, *values.shape[1:]), np.nan))
                field[rows, columns] = values
            return bend(found["loss"])

        _, known = refine(shape, budget, evaluate, agree)
        return fields, known

    def checkpoints(self, markers: Sequence[Marker]) -> dict[str, Array]:
        """Measures of marked checkpoints themselves, arrays (m, ...) by name."""
        parts = [markers[i : i + CHUNK] for i in range(0, len(markers), CHUNK)]
        measure = self._evaluator.values_of
        return join(self._collect("checkpoint", parts, lambda marker: measure(marker.state)))

    def _collect(self, name: str, pieces: Sequence[Any], measure: Callable[[Any], Any]) -> list[Piece]:
        start = self._done
        ends = start + np.cumsum([len(piece) for piece in pieces])

        def compute(index: int) -> Piece:
            rows = []
            for item in pieces[index]:
                rows.append(measure(item))
                self._report(self._done + 1)
            return stack(rows)

        def on_done(count: int) -> None:
            # Pieces of other workers count as well, and progress never goes back.
            self._report(max(self._done, int(ends[count - 1])))

        names = [f"{name}-{index:05d}" for index in range(len(pieces))]
        return self._ledger.collect(names, compute, on_done)

    def _report(self, done: int) -> None:
        self._done = done
        self._progress(min(done / self._total, 1.0))


def stack(rows: Sequence[Any]) -> dict[str, Array]:
    """Arrays by name of a list of mappings, along a new first axis."""
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def join(pieces: Sequence[Piece]) -> dict[str, Array]:
    """Arrays by name of several pieces, along their first axis."""
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
