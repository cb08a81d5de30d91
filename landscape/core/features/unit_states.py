"""Units that say nothing, or what others say: dead, dormant, duplicate and saturated ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["BOUNDS", "UnitStates", "saturation", "unit_states"]

BOUNDS: dict[type[nn.Module], tuple[float, float]] = {
    nn.Tanh: (-1.0, 1.0),
    nn.Softsign: (-1.0, 1.0),
    nn.Sigmoid: (0.0, 1.0),
    nn.Hardsigmoid: (0.0, 1.0),
}
"""Ends of the range of activations that have two; `nn.Hardtanh`, and so `nn.ReLU6`, knows its own."""

COMPARED = 1024
"""Of wider features so many evenly spaced entries are compared with each other."""

ALIKE = 1e-6
"""Entries whose correlation is nearer to 1 are one."""


@dataclass(frozen=True)
class UnitStates:
    """Shares of the entries of a feature: neurons, or channels at places.

    Attributes:
        dead: The same number for every example.
        dormant: A mean modulus of at most τ times that of all entries (Sokar et al. 2023, definition 3.1).
        duplicate: Of those that are not dead: a multiple, with an offset, of one before, by a correlation of
            1 over the examples. NaN of fewer than three examples, where any two are.
    """

    dead: float
    dormant: float
    duplicate: float


def unit_states(features: Tensor, tau: float = 0.025) -> UnitStates:
    """Shares of dead, dormant and duplicate entries; NaN if a feature is not finite.

    Args:
        features: A row for each example (n, p), as they are, not centred.
        tau: What is dormant.
    """
    if not torch.isfinite(features).all():
        return UnitStates(*[float("nan")] * 3)
    dead = features.amax(0) == features.amin(0)
    modulus = features.abs().mean(0)
    dormant = modulus <= tau * modulus.mean()
    return UnitStates(
        float(dead.double().mean()), float(dormant.double().mean()), _duplicates(features[:, ~dead])
    )


def _duplicates(features: Tensor) -> float:
    if len(features) < 3 or not features.shape[1]:
        return float("nan")
    step = -(-features.shape[1] // COMPARED)
    centred = features[:, ::step] - features[:, ::step].mean(0)
    directions = centred / centred.norm(dim=0)
    alike = (directions.T @ directions).triu(1) > 1.0 - ALIKE
    return float(alike.any(0).double().mean())


def saturation(features: Tensor, module: nn.Module | None, within: float = 0.01) -> float:
    """Share of values within 1 % of its range from an end of an activation that has two ends; else NaN.

    Args:
        features: Its outputs.
        module: The activation.
        within: What is near, as a share of the range.
    """
    bounds = next((ends for kind, ends in BOUNDS.items() if isinstance(module, kind)), None)
    if isinstance(module, nn.Hardtanh):
        bounds = float(module.min_val), float(module.max_val)
    if bounds is None or not torch.isfinite(features).all():
        return float("nan")
    low, high = bounds
    near = within * (high - low)
    return float(((features <= low + near) | (features >= high - near)).double().mean())
