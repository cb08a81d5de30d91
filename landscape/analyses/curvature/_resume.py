"""Lanczos runs that a kill does not lose."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from landscape.base.ledger import Ledger, Piece
    from landscape.core.linalg.eigenpairs import Eigenpairs, EigenProgress, LanczosState
    from landscape.core.linalg.operators import SymmetricOperator

__all__ = ["resumed_eigenpairs", "start_from"]

SAVE_EVERY_S = 30.0
LEAST_SHARE = 20.0
"""A state is not kept again before so many times the time that it took: saving costs 5 % at most."""


def resumed_eigenpairs(
    operator: SymmetricOperator,
    k: int,
    ledger: Ledger,
    name: str,
    *,
    on_progress: Callable[[EigenProgress], None],
    start: Any = None,
    **options: Any,
) -> Eigenpairs:
    """`landscape.core.linalg.eigenpairs.eigenpairs`, continued from the state an earlier run has kept.

    The state is kept every half minute, or less often where that takes long; a continued run gives the same
    bits. Of the basis only vectors are written that were not there the last time, one at a time.

    Args:
        operator: The operator.
        k: Number of pairs.
        ledger: Where the state is kept.
        name: Of the state.
        on_progress: Called after every operator call.
        start: Starting vectors, where no state has been kept.
        options: Further arguments of ``eigenpairs``.
    """
    from landscape.core.linalg.eigenpairs import eigenpairs

    file = _StateFile(ledger, name)
    due = time.monotonic() + SAVE_EVERY_S

    def report(progress: EigenProgress) -> None:
        nonlocal due
        began = time.monotonic()
        if began >= due:
            file.save(progress.state(copy=False))
            ended = time.monotonic()
            due = ended + max(SAVE_EVERY_S, LEAST_SHARE * (ended - began))
        on_progress(progress)

    saved = file.load()
    if saved is not None:
        try:
            return eigenpairs(operator, k, start=saved, on_progress=report, **options)
        except _Damaged:  # before any product
            file.forget()
    return eigenpairs(operator, k, start=start, on_progress=report, **options)


def start_from(start: Any) -> Any:
    """Starting vectors: those given, or the sum of the eigenvectors of another checkpoint's spectrum.

    The sum takes fewer products than the vectors side by side: one Krylov space grows in the direction of
    all of them.

    Raises:
        InputError: If the spectrum holds no eigenvectors.
    """
    import torch

    if start is None or torch.is_tensor(start):
        return start
    if "eigenvectors" not in start:
        raise InputError("the spectrum to start from holds no eigenvectors: compute it with vectors=True.")
    return torch.from_numpy(start["eigenvectors"].values).sum(1)


class _StateFile:
    """A Lanczos state in a ledger: each vector is a state of its own, and one more names them in order.

    What is named is there: vectors are written before, and removed after they are no longer named.
    """

    def __init__(self, ledger: Ledger, name: str) -> None:
        self._ledger = ledger
        self._name = name
        # Two runs may be at work on one task where locks fail: neither may take the other's vectors for its.
        self._own = uuid.uuid4().hex[:12]
        self._held: dict[int, str] = {}  # name of each vector that is kept, by its stamp
        self._parked: list[str] = []
        self._saves = 0

    def save(self, state: LanczosState) -> None:
        """Keep a state in place of the former one."""
        basis, before = state.basis, {*self._held.values(), *self._parked}
        self._saves += 1
        held = {}
        for stamp, row in zip(basis.stamps, basis.rows, strict=True):
            if stamp not in self._held:
                self._held[stamp] = self._write(f"{stamp}", row)
            held[stamp] = self._held[stamp]
        parked = [self._write(f"parked-{self._saves}-{i}", row) for i, row in enumerate(basis.parked)]
        self._ledger.save_state(self._name, _head(state, list(held.values()), parked))
        self._held, self._parked = held, parked
        for name in before - {*held.values(), *parked}:
            self._ledger.delete_state(name)

    def _write(self, which: str, row: Tensor) -> str:
        name = f"{self._name}-{self._own}-{which}"
        self._ledger.save_state(name, {"row": row.cpu().numpy()})
        return name

    def load(self) -> LanczosState | None:
        """The kept state, whose vectors are read one by one as they are used; ``None`` if there is none."""
        head = self._ledger.load_state(self._name)
        if head is None or "rows" not in head:  # or one of a version that kept all in one
            return None
        rows, parked = ([str(name) for name in head[which]] for which in ("rows", "parked"))
        self._held, self._parked = dict(enumerate(rows)), parked  # a basis counts them anew
        return _state(head, _Rows(self._ledger, rows), _Rows(self._ledger, parked))

    def forget(self) -> None:
        """Remove what is kept."""
        for name in (self._name, *self._held.values(), *self._parked):
            self._ledger.delete_state(name)
        self._held, self._parked = {}, []


class _Damaged(Exception):  # noqa: N818 - the run begins anew
    """A vector that a state names cannot be read."""


class _Rows(Sequence["Tensor"]):
    """Vectors of a ledger, of which no more than one is held at a time."""

    def __init__(self, ledger: Ledger, names: Sequence[str]) -> None:
        self._ledger = ledger
        self._names = names

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: Any) -> Any:
        import torch

        found = self._ledger.load_state(self._names[index])
        if found is None:
            raise _Damaged
        return torch.from_numpy(found["row"])


_VECTORS = ("rows", "stamps", "parked")


def _head(state: LanczosState, rows: Sequence[str], parked: Sequence[str]) -> Piece:
    """All but the vectors as arrays by name, and the names of these."""
    values = {f"basis.{f.name}": getattr(state.basis, f.name) for f in fields(state.basis)}
    values = {name: value for name, value in values.items() if name.removeprefix("basis.") not in _VECTORS}
    # Pieces are arrays, which know no None.
    values |= {"chain": -1 if state.chain is None else state.chain}
    values |= {"settled": state.settled, "scale": state.scale}
    names = {"rows": np.array(rows, dtype=str), "parked": np.array(parked, dtype=str)}
    return {n: v.cpu().numpy() if hasattr(v, "cpu") else np.array(v) for n, v in values.items()} | names


def _state(head: Piece, rows: Sequence[Tensor], parked: Sequence[Tensor]) -> LanczosState:
    """The state that `_head` was made from."""
    import torch

    from landscape.core.linalg.eigenpairs import LanczosState
    from landscape.core.linalg.krylov import KrylovState

    held: dict[str, Any] = {
        name: torch.from_numpy(value) if value.ndim else value.item()
        for name, value in head.items()
        if name not in ("rows", "parked")
    }
    numbers = {n.removeprefix("basis."): v for n, v in held.items() if n.startswith("basis.")}
    basis = KrylovState(**numbers, rows=rows, stamps=range(len(rows)), parked=parked)
    chain = None if held["chain"] < 0 else held["chain"]
    return LanczosState(basis, chain, held["settled"], held["scale"])
