"""Measurements during a training: `Probe` for a plain loop, and the same for Lightning and Hugging Face.

What they write is a store whose models are the moments of the training: ``landscape report STORE`` has a
slider over them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from landscape.callbacks.lightning import LightningProbe
    from landscape.callbacks.probe import Probe
    from landscape.callbacks.trainer import TrainerProbe

__all__ = ["LightningProbe", "Probe", "TrainerProbe"]

# On first use: the two libraries are needed by none but those who name them.
_HOMES = {"LightningProbe": "lightning", "Probe": "probe", "TrainerProbe": "trainer"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'landscape.callbacks' has no attribute '{name}'")
    return getattr(importlib.import_module(f"landscape.callbacks.{_HOMES[name]}"), name)
