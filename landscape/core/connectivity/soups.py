"""Soups: one model from the average of several (Wortsman et al. 2022)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

__all__ = ["average", "greedy"]


@torch.no_grad()
def average(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of state_dicts, entry by entry, summed in float64; whole numbers are those of the first."""
    first = states[0]
    mean = {}
    for name, tensor in first.items():
        if not tensor.is_floating_point():
            mean[name] = tensor.clone()
            continue
        total = torch.zeros_like(tensor, dtype=torch.float64)
        for state in states:  # one after another, so that not all are held in float64 at once
            total += state[name]
        mean[name] = (total / len(states)).to(tensor.dtype)
    return mean


def greedy(
    states: Sequence[Mapping[str, Tensor]], loss: Callable[[Mapping[str, Tensor]], float]
) -> list[int]:
    """Which models a greedy soup takes (Wortsman et al. 2022, algorithm 1, with the loss for accuracy).

    From the lowest loss up, a model joins if the average with it has no higher loss.

    Args:
        states: The models.
        loss: Of a state.

    Returns:
        Indices in the order of joining; the best model is always among them.
    """
    alone = [loss(state) for state in states]
    order = sorted(range(len(states)), key=lambda i: (alone[i], i))
    taken, best = [order[0]], alone[order[0]]
    for index in order[1:]:
        found = loss(average([states[i] for i in (*taken, index)]))
        if found <= best:
            taken.append(index)
            best = found
    return taken
