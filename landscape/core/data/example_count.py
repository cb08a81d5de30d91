"""Example count: how many examples a batch holds, where its tensors' leading axes do not tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from landscape.core.data.batches import Batch
from landscape.errors import InputError

__all__ = ["recount"]

Run = Callable[[Batch], tuple[Any, Any]]


def recount(
    batches: list[Batch],
    device: torch.device,
    first: Run,
    run: Run,
    loss: Callable[[Any, Any], Tensor],
) -> list[Batch]:
    """Batches with the number of examples that their outputs show; the same list if nothing misled.

    A target that the user's ``forward`` returns decides; else, where leading axes disagree, the number of
    losses per example. In graph batches, the tensors of nodes, edges and graphs differ in length.

    Args:
        batches: All batches.
        device: Where the model is.
        first: Output and target of the first batch, with a sentence if it fails.
        run: Output and target of another batch.
        loss: The loss.

    Raises:
        InputError: If nothing tells the number of examples.
    """
    guessed = not all(batch.counted for batch in batches)
    if not guessed and not _misled(batches[0], first(batches[0].to(device))[1]):
        return batches
    found = []
    for index, batch in enumerate(batches):
        output, target = (run if index else first)(batch.to(device))
        size = _size(output, target, loss)
        if size is None:
            raise InputError(
                f"how many examples batch {index} holds is not clear, since the first axes of its tensors"
                " differ in length: return (output, target) from forward=, return one loss per example, or"
                " say it with size=, a function of the batch such as lambda batch: len(batch['y'])."
            )
        found.append(replace(batch, size=size, counted=True))
    return found


def _misled(batch: Batch, target: Any) -> bool:
    """Whether the target that was returned has another length than the batch was counted to have."""
    return torch.is_tensor(target) and target.ndim > 0 and len(target) != batch.size


def _size(output: Any, target: Any, loss: Callable[[Any, Any], Tensor]) -> int | None:
    if torch.is_tensor(target) and target.ndim:
        return len(target)
    try:
        values = loss(output, target)
    except Exception:  # said in full when the loss is probed
        return None
    return len(values) if torch.is_tensor(values) and values.ndim == 1 else None
