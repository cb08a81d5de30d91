"""The probe as a callback of Lightning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from landscape.callbacks.pace import Pace
from landscape.errors import InputError

if TYPE_CHECKING:
    from landscape.callbacks.probe import Probe

try:
    from lightning.pytorch import Callback
except ImportError:
    try:
        from pytorch_lightning import Callback
    except ImportError:
        Callback = None

__all__ = ["LightningProbe"]


class LightningProbe(Callback or object):  # type: ignore[misc]
    """Calls a probe during ``Trainer.fit``: before the first step, each epoch or step, and at the end.

    Numbers that the module has logged are remembered beside the results.

    Args:
        probe: What to measure, and how often.
        unit: Whether ``every`` of the probe counts epochs or steps of the optimiser.
        module: The part of the LightningModule to measure, such as ``"net"``; by default all of it, as its
            ``forward`` is.

    Example:
        >>> probe = LightningProbe(Probe("runs/probe", "cross_entropy", data), module="net")  # doctest: +SKIP
        >>> Trainer(max_epochs=10, callbacks=[probe]).fit(lit, loader)                        # doctest: +SKIP
    """

    def __init__(self, probe: Probe, *, unit: Literal["epoch", "step"] = "epoch", module: str = "") -> None:
        self._pace = Pace(probe, unit)
        if Callback is None:
            raise InputError(
                "this probe is a callback of Lightning; install it with:"
                " pip install 'landscape-toolkit[lightning]'."
            )
        super().__init__()
        self.probe, self.unit, self.module = probe, unit, module

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Measure the start."""
        self._look(trainer, pl_module, trainer.current_epoch)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        """Measure after a step, if steps are counted."""
        if self.unit == "step":
            self._look(trainer, pl_module, 0)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Measure after an epoch, if these are counted."""
        if self.unit == "epoch":
            self._look(trainer, pl_module, trainer.current_epoch + 1)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Measure the end, whatever ``every`` is, and put the results into one file."""
        self._look(trainer, pl_module, trainer.current_epoch, end=True)
        self.probe.close()

    def _look(self, trainer: Any, pl_module: Any, epoch: int, *, end: bool = False) -> None:
        at = trainer.global_step if self.unit == "step" else epoch
        if trainer.is_global_zero and self._pace.is_due(at, end=end):
            logged = {k: float(v) for k, v in trainer.callback_metrics.items()}
            model = pl_module.get_submodule(self.module) if self.module else pl_module
            self.probe.measure(model, self.unit, at, logged)
