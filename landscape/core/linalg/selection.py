"""Which eigenvalues are requested, and in which order."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

__all__ = ["Which", "ends_of", "rank_requested"]

Which = Literal["LM", "LA", "SA", "BE"]
"""Largest magnitude, largest, smallest, both ends."""


def rank_requested(theta: Tensor, k: int, which: Which) -> Tensor:
    """Return the indices of the (up to) k requested ones among ascending values theta (m,)."""
    m = len(theta)
    k = min(k, m)
    if which == "LM":
        return torch.argsort(theta.abs(), descending=True, stable=True)[:k]
    if which == "SA":
        return torch.arange(k)
    falling = torch.arange(m - 1, -1, -1)
    if which == "LA":
        return falling[:k]
    return torch.cat([falling[: k - k // 2], falling[m - k // 2 :]])  # the odd one goes to the upper end


def ends_of(ranked: Tensor, which: Which) -> list[tuple[int, float]]:
    """Return (side, last): what is requested are eigenvalues mu with side * mu >= last."""
    if which == "LM":
        return [(1, float(ranked[-1])), (-1, float(ranked[-1]))]
    if which == "SA":
        return [(-1, -float(ranked[-1]))]
    # "BE" lists the upper end first, so entry low - 1 is its last and entry low the first, hence largest, of
    # the lower end; "LA" has no lower end and the slice below is empty.
    low = len(ranked) - len(ranked) // 2 if which == "BE" else len(ranked)
    return [(1, float(ranked[low - 1]))] + [(-1, -float(v)) for v in ranked[low : low + 1]]
