"""Pruning: weights of small magnitude set to zero."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from landscape.core.weights.compressible import compressible
from landscape.core.weights.pruning import Scope, dropped
from landscape.errors import InputError
from landscape.reference.training.tuning import tune

__all__ = ["prune", "prune_iteratively"]


def prune(
    model: nn.Module, data: Any = None, *, share: float, scope: Scope = "global", seed: int = 0
) -> nn.Module:
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
            every layer loses the same share; ``"random"`` takes any, the control.
        seed: Seed of the random ones.

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
    pruned = copy.deepcopy(model)
    weights = list(compressible(pruned, "prune").values())
    _zero(weights, dropped(weights, share, scope, seed))
    return pruned


def prune_iteratively(
    model: nn.Module,
    data: tuple[Tensor, Tensor],
    *,
    share: float,
    rounds: int = 3,
    scope: Scope = "global",
    epochs: int = 2,
    lr: float = 3e-3,
    batch_size: int = 64,
    seed: int = 0,
) -> nn.Module:
    """A copy of a model pruned in several rounds, the remaining weights trained on after each of them.

    The share of weights that stay falls by the same factor in every round. Weights that are zero stay zero.

    Args:
        model: The trained model; it is left alone.
        data: Training inputs (N, ...) and labels (N,).
        share: Share of the weights that is zero at the end.
        rounds: How often weights are dropped, at least 1.
        scope: See `prune`.
        epochs: Passes through the data after each round; 0 for none.
        lr: Learning rate, see `landscape.reference.training.tuning.tune`.
        batch_size: Examples of a step.
        seed: Seed of the order of the examples, and of the random scope.

    Returns:
        A model with the same modules, in eval mode if it was trained on.

    Raises:
        InputError: If an option is out of range, or there is nothing to prune.

    Reference:
        Han et al. (2015), section 3; the schedule of Frankle & Carbin (2019), The lottery ticket hypothesis,
        with weights kept instead of rewound.
    """
    if not 0 <= share <= 1:
        raise InputError(f"prune_iteratively: share lies within 0 and 1, not {share}.")
    if rounds < 1:
        raise InputError(f"prune_iteratively: rounds must be at least 1, not {rounds}.")
    pruned = copy.deepcopy(model)
    for number in range(1, rounds + 1):
        weights = list(compressible(pruned, "prune").values())
        masks = dropped(weights, 1 - (1 - share) ** (number / rounds), scope, seed)
        _zero(weights, masks)
        if not epochs:
            continue
        pruned = tune(
            pruned,
            data,
            epochs=epochs,
            lr=lr,
            batch_size=batch_size,
            seed=seed,
            after_step=partial(_zero_in, masks=masks),
        )
    return pruned


def _zero_in(model: nn.Module, masks: list[Tensor]) -> None:
    _zero(list(compressible(model).values()), masks)


@torch.no_grad()
def _zero(weights: list[nn.Parameter], masks: list[Tensor]) -> None:
    for weight, mask in zip(weights, masks, strict=True):
        weight[mask] = 0
