"""Weights rounded to a uniform grid of few values."""

from __future__ import annotations

import torch
from torch import Tensor

from landscape.errors import InputError

__all__ = ["grid_step", "quantised"]

FLOAT_BITS = 32
"""Bits from which on weights are left as they are."""


def grid_step(weight: Tensor, bits: int, axis: int | None = 0) -> Tensor:
    """The step s = max|w| / q of the grid, q = 2^(bits − 1) − 1, in a shape that the weight broadcasts with.

    Args:
        weight: The weight.
        bits: Bits of a value, at least 2: with 2, values are −s, 0 and s.
        axis: The axis along which each channel has a step of its own; ``None`` for one of all.

    Raises:
        InputError: If there are fewer than 2 bits, or it is no whole number of them.
    """
    if not bits >= 2:
        raise InputError(f"quantise: bits must be at least 2, a sign and a digit, not {bits}.")
    if bits != int(bits):
        raise InputError(f"quantise: bits is a whole number, not {bits}.")
    others = [a for a in range(weight.ndim) if a != axis]
    largest: Tensor = _precise(weight).abs().amax(others, keepdim=True)
    return largest / (2.0 ** (bits - 1) - 1)


def quantised(weight: Tensor, bits: int, axis: int | None = 0) -> Tensor:
    """The weight rounded to the nearest of −q·s, ..., −s, 0, s, ..., q·s: symmetric and uniform.

    The largest magnitude and zero stay what they are, up to rounding. A channel with NaN or an infinite
    weight becomes NaN. Weights of half precision are rounded in single precision, and the result is the
    nearest of their own numbers.

    Args:
        weight: Any shape.
        bits: Bits of a value, at least 2; 32 or more leave the weight alone.
        axis: The axis along which each channel has a grid of its own; ``None`` for one grid.

    Returns:
        A new tensor of the same shape and type. Its values are simulated: they take the memory of floats.

    Raises:
        InputError: As `grid_step`.

    Reference:
        Jacob et al. (2018), Quantization and training of neural networks for efficient
        integer-arithmetic-only inference, section 2.1, without the zero point.

    Example:
        >>> quantised(torch.tensor([[1.0, -0.3, 0.2]]), bits=3)
        tensor([[ 1.0000, -0.3333,  0.3333]])
    """
    step = grid_step(weight, bits, axis)
    if bits >= FLOAT_BITS:
        return weight.detach().clone()
    safe = torch.where(step == 0, torch.ones_like(step), step)  # a channel of zeros stays zero
    return ((_precise(weight) / safe).round() * step).to(weight.dtype)


def _precise(weight: Tensor) -> Tensor:
    """The weight in single precision at least: in half, steps of many bits vanish."""
    return weight.detach().float() if weight.dtype.itemsize < 4 else weight.detach()
