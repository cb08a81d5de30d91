"""Lanczos runs that a kill does not lose."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.errors import InputError

if TYPE_CHECKING:
    from landscape.base.ledger import Ledger, Piece
    from landscape.core.linalg.eigenpairs import Eigenpairs, EigenProgress, LanczosState
    from landscape.core.linalg.operators import SymmetricOperator

__all__ = ["resumed_eigenpairs", "start_from"]

SAVE_EVERY_S = 30.0


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

    The state, up to 256 MiB, is kept every half minute; a continued run gives the same bits.

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

    last = time.monotonic()

    def report(progress: EigenProgress) -> None:
        nonlocal last
        if time.monotonic() - last >= SAVE_EVERY_S:
            ledger.save_state(name, _piece(progress.state()))
            last = time.monotonic()
        on_progress(progress)

    saved = ledger.load_state(name)
    begin = start if saved is None else _state(saved)
    return eigenpairs(operator, k, start=begin, on_progress=report, **options)


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


def _piece(state: LanczosState) -> Piece:
    """The state as arrays by name."""
    values = {f"basis.{f.name}": getattr(state.basis, f.name) for f in fields(state.basis)}
    # Pieces are arrays, which know no None.
    values |= {"chain": -1 if state.chain is None else state.chain}
    values |= {"settled": state.settled, "scale": state.scale}
    return {n: v.cpu().numpy() if hasattr(v, "cpu") else np.array(v) for n, v in values.items()}


def _state(piece: Piece) -> LanczosState:
    """The state that `_piece` was made from."""
    import torch

    from landscape.core.linalg.eigenpairs import LanczosState
    from landscape.core.linalg.krylov import KrylovState

    held: dict[str, Any] = {
        name: torch.from_numpy(value) if value.ndim else value.item() for name, value in piece.items()
    }
    basis = KrylovState(**{n.removeprefix("basis."): v for n, v in held.items() if n.startswith("basis.")})
    chain = None if held["chain"] < 0 else held["chain"]
    return LanczosState(basis, chain, held["settled"], held["scale"])
