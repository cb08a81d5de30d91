"""The state of a curve in training, kept after every epoch so that a killed run goes on from there."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from landscape.store.files import write_bytes

if TYPE_CHECKING:
    from torch import Tensor

    from landscape.core.path_training import TrainingState

__all__ = ["CurveFile"]


class CurveFile:
    """One file that always holds the last finished epoch; nothing without a folder, or once it is gone.

    Args:
        folder: Where partial results are kept, or ``None``.
        like: Gives dtype and device of the points.
    """

    def __init__(self, folder: Path | None, like: Tensor) -> None:
        self._file = None if folder is None else folder / "curve-state.npz"
        self._like = like

    def write(self, state: TrainingState) -> None:
        """Keep a state in place of the former one."""
        if self._file is None or not self._file.parent.exists():
            return
        buffer = io.BytesIO()
        points, velocity = (t.cpu().numpy() for t in (state.points, state.velocity))
        np.savez(buffer, points=points, velocity=velocity, losses=np.array(state.losses))
        write_bytes(self._file, buffer.getvalue(), within=self._file.parent)

    def read(self) -> TrainingState | None:
        """The kept state; ``None`` if there is none, or a damaged disk spoilt it."""
        from landscape.core.path_training import TrainingState

        if self._file is None:
            return None
        try:
            with np.load(io.BytesIO(self._file.read_bytes()), allow_pickle=False) as kept:
                points, velocity = (self._like.new_tensor(kept[n]) for n in ("points", "velocity"))
                return TrainingState(points, velocity, kept["losses"].tolist())
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            return None

    def remove(self) -> None:
        """Drop the file once the curve is finished."""
        if self._file is not None:
            self._file.unlink(missing_ok=True)
