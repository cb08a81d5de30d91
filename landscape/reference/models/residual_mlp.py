"""A fully connected residual network of one width, which keeps distances if its layers are small."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from landscape.errors import InputError
from landscape.reference.layers.convolution import check_positive

__all__ = ["residual_mlp"]


def residual_mlp(
    inputs: int = 2, width: int = 128, depth: int = 6, classes: int = 2, *, frozen: bool = True
) -> nn.Module:
    """A linear layer to the width, residual layers h + ReLU(Wh + b), and a head.

    Args:
        inputs: Number of inputs.
        width: Units of every layer.
        depth: Residual layers.
        classes: Number of outputs.
        frozen: Whether the first layer keeps its initial weights.

    Returns:
        A module from inputs (N, inputs) to outputs (N, classes).

    Raises:
        InputError: If a size is not positive.

    Reference:
        Liu et al. (2020), Simple and principled uncertainty estimation, section 5.1: their network of the
        plane.
    """
    check_positive("residual_mlp", inputs=inputs, width=width, classes=classes)
    if depth < 0:
        raise InputError(f"residual_mlp: depth is not negative, not {depth}.")
    first = nn.Linear(inputs, width).requires_grad_(not frozen)
    parts = {"first": first, **{f"block{i}": Residual(width) for i in range(1, depth + 1)}}
    return nn.Sequential(OrderedDict(parts, head=nn.Linear(width, classes)))


class Residual(nn.Module):
    """h + ReLU(Wh + b)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc = nn.Linear(width, width)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """From (N, width) to (N, width)."""
        moved: Tensor = self.act(self.fc(x))
        return x + moved
