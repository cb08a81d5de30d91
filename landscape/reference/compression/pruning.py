"""Pruning: weights of small magnitude set to zero."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from landscape.errors import InputError, suggest

__all__ = ["prune"]

Scope = Literal["global", "layer"]


def prune(model: nn.Module, data: Any = None, *, share: float, scope: Scope = "global") -> nn.Module:
    """A copy of a model whose weights of smallest magnitude are zero.

    Pruned are matrices and kernels: parameters named ``weight`` with more than one axis. Biases, norms, class
    tokens and position embeddings stay as they are. Of n weights, ``round(share · n)`` become zero; what a
    smaller share prunes is contained in what a larger one does, and weights that are zero come first. NaN
    counts as largest and stays.

    Args:
        model: The trained model; it is left alone.
        data: Not looked at: magnitudes tell all. It is here because every compression takes it.
        share: Share of the weights to prune, 0 to 1.
        scope: ``"global"`` ranks the weights of all layers together, ``"layer"`` those of each layer, so that
            every layer loses the same share.

    Returns:
        A model with the same modules, in the same mode.

    Raises:
        InputError: If the share is out of range, the scope unknown, or there is nothing to prune.

    Reference:
        Han et al. (2015), Learning both weights and connections for efficient neural networks, section 3,
        without the retraining.

    Example:
        >>> layer = nn.Linear(2, 2)
        >>> with torch.no_grad():
        ...     _ = layer.weight.copy_(torch.tensor([[3.0, -0.1], [0.2, -4.0]]))
        >>> prune(layer, share=0.5).weight.tolist()
        [[3.0, 0.0], [0.0, -4.0]]
    """
    if not 0 <= share <= 1:
        raise InputError(f"prune: share lies within 0 and 1, not {share}.")
    if scope not in get_args(Scope):
        raise InputError(f"prune has no scope '{scope}'; {suggest(str(scope), get_args(Scope))}")
    pruned = copy.deepcopy(model)
    weights = [
        parameter
        for name, parameter in pruned.named_parameters()
        if name.rpartition(".")[2] == "weight" and parameter.ndim > 1
    ]
    if not weights:
        raise InputError(f"prune: {type(model).__name__} has no matrix or kernel to prune.")
    for ranked in [weights] if scope == "global" else [[weight] for weight in weights]:
        _zero_smallest(ranked, share)
    return pruned


@torch.no_grad()
def _zero_smallest(weights: Sequence[Tensor], share: float) -> None:
    """Set the share of smallest magnitude among all these weights to zero, in place."""
    magnitudes = torch.cat([weight.abs().flatten() for weight in weights])
    # A stable order makes the choice among equals the same for every share.
    smallest = magnitudes.argsort(stable=True)[: round(share * len(magnitudes))]
    dropped = torch.zeros_like(magnitudes, dtype=torch.bool)
    dropped[smallest] = True
    masks = torch.split(dropped, [weight.numel() for weight in weights])
    for weight, mask in zip(weights, masks, strict=True):
        weight[mask.view_as(weight)] = 0
