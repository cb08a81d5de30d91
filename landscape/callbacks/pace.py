"""When the callback of a training loop has its probe measure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from landscape.errors import InputError
from landscape.trainings import PROGRESS

if TYPE_CHECKING:
    from landscape.callbacks.probe import Probe

__all__ = ["Pace"]


class Pace:
    """Each epoch or step that ``every`` of a probe divides, and the end of the training; none of them twice.

    Args:
        probe: The probe.
        unit: What its ``every`` counts, ``"epoch"`` or ``"step"``.

    Raises:
        InputError: If it is another unit.
    """

    def __init__(self, probe: Probe, unit: str) -> None:
        if unit not in PROGRESS:
            raise InputError(f"unit must be 'epoch' or 'step'; got {unit!r}.")
        self._probe = probe
        self._last = -1

    def is_due(self, at: int, *, end: bool = False) -> bool:
        """Whether to measure now, which counts as done then.

        Args:
            at: How many epochs or steps there were: the same again where gradients are accumulated.
            end: Whether the training ends here.
        """
        if at == self._last or not (end or at % self._probe.every == 0):
            return False
        self._last = at
        return True
