"""The probe as a callback of the Trainer of Hugging Face transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from landscape.callbacks.pace import Pace
from landscape.errors import InputError
from landscape.trainings import PROGRESS

if TYPE_CHECKING:
    from landscape.callbacks.probe import Probe

try:
    from transformers import TrainerCallback
except ImportError:
    TrainerCallback = None

__all__ = ["TrainerProbe"]


class TrainerProbe(TrainerCallback or object):  # type: ignore[misc]
    """Calls a probe during ``Trainer.train``: before the first step, each epoch or step, and at the end.

    Numbers that the trainer has logged last (``loss``, ``eval_loss``, ...) are remembered beside the results.

    Args:
        probe: What to measure, and how often.
        unit: Whether ``every`` of the probe counts steps of the optimiser or epochs.

    Example:
        >>> probe = TrainerProbe(Probe("runs/probe", "causal_lm", batches, every=100))   # doctest: +SKIP
        >>> Trainer(model, args, train_dataset=texts, callbacks=[probe]).train()         # doctest: +SKIP
    """

    def __init__(self, probe: Probe, *, unit: Literal["epoch", "step"] = "step") -> None:
        self._pace = Pace(probe, unit)
        if TrainerCallback is None:
            raise InputError(
                "this probe is a callback of transformers; install it with:"
                " pip install 'landscape-toolkit[hf]'."
            )
        self.probe, self.unit = probe, unit

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Measure the start."""
        self._look(state, given)

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Measure after a step, if steps are counted."""
        if self.unit == "step":
            self._look(state, given)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Measure after an epoch, if these are counted."""
        if self.unit == "epoch":
            self._look(state, given)

    def on_train_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Measure the end, whatever ``every`` is, and put the results into one file."""
        self._look(state, given, end=True)
        self.probe.close()

    def _look(self, state: Any, given: Any, *, end: bool = False) -> None:
        at = state.global_step if self.unit == "step" else round(state.epoch or 0)
        if state.is_world_process_zero and self._pace.is_due(at, end=end):
            logged: dict[str, float] = {}
            for entry in state.log_history:
                logged |= {k: float(v) for k, v in entry.items() if isinstance(v, int | float)}
            for own in PROGRESS:  # the moment's own
                logged.pop(own, None)
            self.probe.measure(given["model"], self.unit, at, logged)
