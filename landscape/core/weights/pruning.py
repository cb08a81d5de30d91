"""Which weights pruning drops: those of smallest magnitude, or any."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from landscape.errors import InputError, suggest

__all__ = ["Scope", "dropped"]

Scope = Literal["global", "layer", "random"]


@torch.no_grad()
def dropped(weights: Sequence[Tensor], share: float, scope: Scope = "global", seed: int = 0) -> list[Tensor]:
    """Masks that are true where a weight is dropped, each shaped as its weight.

    Of n weights, ``round(share · n)`` are dropped; what a smaller share drops is contained in what a larger
    one does, and weights that are zero come first. NaN counts as largest and stays.

    Args:
        weights: The weights.
        share: Share to drop, 0 to 1.
        scope: ``"global"`` ranks the magnitudes of all weights together, ``"layer"`` those of each tensor, so
            that each loses the same share; ``"random"`` takes them all in a random order, the control.
        seed: Seed of that order.

    Raises:
        InputError: If the share is out of range or the scope unknown.

    Reference:
        Han et al. (2015), Learning both weights and connections for efficient neural networks, section 3.

    Example:
        >>> [mask.tolist() for mask in dropped([torch.tensor([3.0, -0.1]), torch.tensor([0.2, -4.0])], 0.5)]
        [[False, True], [True, False]]
    """
    if not 0 <= share <= 1:
        raise InputError(f"prune: share lies within 0 and 1, not {share}.")
    if scope not in get_args(Scope):
        raise InputError(f"prune has no scope '{scope}'; {suggest(str(scope), get_args(Scope))}")
    if scope == "layer":
        return [_smallest([weight.abs()], share)[0] for weight in weights]
    if scope == "global":
        return _smallest([weight.abs() for weight in weights], share)
    generator = torch.Generator().manual_seed(seed)
    # drawn on the CPU, so that the device does not decide the numbers
    return _smallest([torch.rand(w.shape, generator=generator).to(w.device) for w in weights], share)


def _smallest(magnitudes: Sequence[Tensor], share: float) -> list[Tensor]:
    """Where the share of smallest entries among all of these is."""
    joined = torch.cat([part.flatten() for part in magnitudes])
    # A stable order makes the choice among equals the same for every share.
    smallest = joined.argsort(stable=True)[: round(share * len(joined))]
    chosen = torch.zeros_like(joined, dtype=torch.bool)
    chosen[smallest] = True
    parts = torch.split(chosen, [part.numel() for part in magnitudes])
    return [part.view(whole.shape) for part, whole in zip(parts, magnitudes, strict=True)]
