"""The norm of a convolution as what it is: a linear map of whole pictures, padding and stride included."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from landscape.core.linalg.eigenpairs import eigenpairs
from landscape.core.linalg.operators import SymmetricOperator
from landscape.errors import InputError

__all__ = ["map_norm"]


def map_norm(
    layer: nn.Module, shape: Sequence[int], *, tol: float = 1e-4, most: int = 200, seed: int = 0
) -> tuple[float, float]:
    """The largest singular value of a layer's linear part on inputs of one shape.

    The norm of the matrix of filters is another number (Sedghi, Gupta & Long 2019, whose form by the Fourier
    transform is that of circular padding).

    Args:
        layer: A layer whose output is linear in its input but for a bias: a convolution.
        shape: Shape of one input, without the batch.
        tol: Residual allowed of the squared singular value, relative to it.
        most: Most products.
        seed: Of the starting vector.

    Returns:
        The norm, and a bound on its distance from the nearest singular value.

    Raises:
        InputError: If the layer does not take inputs of that shape.
    """
    operator = _Normal(layer, tuple(shape))
    found = eigenpairs(operator, 1, "LA", tol=tol, max_products=most, seed=seed, search=False)
    value = max(float(found.values[0]), 0.0) ** 0.5
    # |s² − t²| ≤ r gives |s − t| ≤ r/(s + t) ≤ r/s
    bound = max(float(found.residuals[0]), found.rounding)
    return value, bound / value if value > 0 else bound**0.5


class _Normal(SymmetricOperator):
    """AᵀA of the linear part A of a layer."""

    def __init__(self, layer: nn.Module, shape: tuple[int, ...]) -> None:
        weight = next(layer.parameters())
        self.layer, self.shape_in = layer, shape
        size = int(torch.Size(shape).numel())
        super().__init__(size, weight.dtype, weight.device)
        try:
            with torch.no_grad():
                self.offset: Tensor = layer(torch.zeros(1, *shape, dtype=self.dtype, device=self.device))
        except RuntimeError as error:
            raise InputError(f"a {type(layer).__name__} takes no inputs of shape {shape}: {error}") from error

    def _apply(self, V: Tensor) -> Tensor:
        x = V.T.reshape(-1, *self.shape_in).requires_grad_(True)
        with torch.enable_grad():
            y = self.layer(x) - self.offset
            (back,) = torch.autograd.grad(y, x, y.detach())
        product: Tensor = back.detach().flatten(1).T
        return product
