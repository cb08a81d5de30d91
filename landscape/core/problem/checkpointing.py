"""Activation checkpointing, left out: what a model's forward pass would compute anew is kept.

Checkpointing saves memory in training by running parts of the forward pass again during the backward pass.
That second run knows nothing of how the first one was run: torch's reentrant kind has no derivatives by
chosen tensors and gives none at all to the first layers, and the other kind fails where the two runs differ.
Values are the same without it; memory is bounded by the size of the batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch.utils.checkpoint

__all__ = ["without_checkpointing"]


@contextmanager
def without_checkpointing() -> Iterator[None]:
    """Within it, `torch.utils.checkpoint.checkpoint` calls its function and does no more."""
    room: Any = torch.utils.checkpoint
    instead = {"CheckpointFunction": _Direct, "_checkpoint_without_reentrant_generator": _directly}
    before = {name: getattr(room, name) for name in instead if hasattr(room, name)}
    for name in before:
        setattr(room, name, instead[name])
    try:
        yield
    finally:
        for name, own in before.items():
            setattr(room, name, own)


class _Direct:
    """Takes the place of torch's reentrant function."""

    @staticmethod
    def apply(function: Callable[..., Any], preserve: bool, *args: Any) -> Any:
        """The function's value."""
        return function(*args)


def _directly(*args: Any, **keywords: Any) -> Iterator[None]:
    """Takes the place of what torch does before and after the function."""
    yield
