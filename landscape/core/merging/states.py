"""What is merged: weights of models of one architecture, and the statistics beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from landscape.errors import InputError

__all__ = ["STATISTICS", "Weights", "check_alike", "parted"]

Weights = Mapping[str, Tensor]
"""Tensors by name."""

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
"""Last parts of the names of BatchNorm's running statistics, which are no weights."""


def check_alike(states: Sequence[Weights], names: Sequence[str] | None = None) -> None:
    """Make sure that models can be merged entry by entry.

    Raises:
        InputError: If there are fewer than two, or names or shapes of their tensors differ, such as those of
            heads for other numbers of classes.
    """
    named = _names(states, names)
    if len(states) < 2:
        raise InputError(f"merging takes at least two models; got {len(states)}.")
    first = states[0]
    for name, state in zip(named[1:], states[1:], strict=True):
        odd = sorted(first.keys() ^ state.keys())
        if odd:
            owner = named[0] if odd[0] in first else name
            raise InputError(
                f"models '{named[0]}' and '{name}' are of unlike architecture: only '{owner}' has"
                f" '{odd[0]}' ({len(odd)} such names); give models of one architecture."
            )
        for key, tensor in first.items():
            if tensor.shape != state[key].shape:
                head = " (heads of other sizes?)" if tensor.shape[1:] == state[key].shape[1:] else ""
                raise InputError(
                    f"'{key}' is {tuple(tensor.shape)} in model '{named[0]}' and"
                    f" {tuple(state[key].shape)} in '{name}'{head}: such models have no entry-by-entry"
                    " merge; give models with the same outputs."
                )


def _names(states: Sequence[Weights], names: Sequence[str] | None) -> list[str]:
    return [f"{i + 1}" for i in range(len(states))] if names is None else list(names)


def parted(states: Sequence[Weights]) -> tuple[list[dict[str, Tensor]], list[dict[str, Tensor]]]:
    """Of each state the weights, and what is no weight: running statistics, and whole numbers."""
    weights = [{n: t.detach() for n, t in s.items() if _is_weight(n, t)} for s in states]
    return weights, [{n: t.detach() for n, t in s.items() if not _is_weight(n, t)} for s in states]


def _is_weight(name: str, tensor: Tensor) -> bool:
    return torch.is_floating_point(tensor) and name.rpartition(".")[2] not in STATISTICS
