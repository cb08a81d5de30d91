"""The state of a curve in training, kept after every epoch so that a killed run goes on from there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from landscape.base.ledger import Ledger
    from landscape.core.connectivity.curve_training import TrainingState

__all__ = ["CurveFile"]

_NAME = "curve-state"


class CurveFile:
    """What a ledger keeps of a curve: always the last finished epoch.

    Args:
        ledger: Of the computation.
        like: Gives dtype and device of the points.
    """

    def __init__(self, ledger: Ledger, like: Tensor) -> None:
        self._ledger = ledger
        self._like = like

    def write(self, state: TrainingState) -> None:
        """Keep a state in place of the former one."""
        points, velocity = (t.cpu().numpy() for t in (state.points, state.velocity))
        self._ledger.save_state(
            _NAME, {"points": points, "velocity": velocity, "losses": np.array(state.losses)}
        )

    def read(self) -> TrainingState | None:
        """The kept state; ``None`` if there is none, or a damaged disk spoilt it."""
        from landscape.core.connectivity.curve_training import TrainingState

        kept = self._ledger.load_state(_NAME)
        if kept is None:
            return None
        points, velocity = (self._like.new_tensor(kept[n]) for n in ("points", "velocity"))
        return TrainingState(points, velocity, kept["losses"].tolist())

    def remove(self) -> None:
        """Drop the state once the curve is finished."""
        self._ledger.delete_state(_NAME)
