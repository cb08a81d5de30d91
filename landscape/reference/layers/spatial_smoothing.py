"""Spatial smoothing: a bounded activation and a box blur at the end of each stage."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from landscape.errors import InputError

__all__ = ["Blur", "Prob", "Smooth"]


class Prob(nn.Module):
    """``ReLU(t·tanh(x/t))``: keeps features positive and below ``t``, so that they average as probabilities.

    Args:
        temperature: The bound t.

    Reference:
        Park & Kim (2022), Blurs behave like ensembles, section 2.2 (their default, t = 10).
    """

    def __init__(self, temperature: float = 10.0) -> None:
        super().__init__()
        if not temperature > 0:
            raise InputError(f"Prob: the temperature must be positive, not {temperature}.")
        self.temperature = temperature

    def forward(self, x: Tensor) -> Tensor:
        """Map any tensor to one of the same shape."""
        return functional.relu(self.temperature * torch.tanh(x / self.temperature))


class Blur(nn.Module):
    """The mean over 2 × 2 neighbours, with stride 1.

    Its response to the frequency (ωx, ωy) has the modulus |cos(ωx/2) cos(ωy/2)|: it passes the mean and
    blocks the Nyquist frequency.

    Args:
        grow: Pad with zeros on all sides, as the paper's code does; the map grows by one. Otherwise the last
            row and column are repeated and the size stays.
    """

    def __init__(self, grow: bool = False) -> None:
        super().__init__()
        self.grow = grow

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape, or to (N, C, H+1, W+1) with ``grow``."""
        if self.grow:
            return functional.avg_pool2d(x, 2, stride=1, padding=1)  # zeros count in the mean
        return functional.avg_pool2d(functional.pad(x, (0, 1, 0, 1), mode="replicate"), 2, stride=1)


class Smooth(nn.Sequential):
    """`Prob`, then `Blur`: the smoothing layer of Park & Kim (2022)."""

    def __init__(self, temperature: float = 10.0, grow: bool = False) -> None:
        super().__init__()
        self.add_module("prob", Prob(temperature))
        self.add_module("blur", Blur(grow))
