"""A soft bound on the spectral norm of layers, on the true convolution: weights as W·min(1, c/σ(W))."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from landscape.errors import InputError

__all__ = ["SpectralBound", "spectral_bound"]

Layer = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d

UNBOUNDED = (
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
    nn.Bilinear,
    nn.MultiheadAttention,
    nn.RNNBase,
)
"""Layers with weights of their own that no bound here knows."""

START = 15
"""Power iterations on the initial weights."""


class SpectralBound(nn.Module):
    """Parametrisation of a layer's weight whose spectral norm is the weight's own up to a bound.

    The norm is that of the linear map the layer is, stride and padding of a convolution included, by a power
    iteration that goes on where the last pass left it. In eval mode nothing is updated. The iteration comes
    from below, slowly where the largest singular values lie close, as those of convolutions do: with one
    step a pass, norms may end some per cent above the bound.

    Args:
        layer: A `torch.nn.Linear` or a convolution of one to three dimensions, padded with zeros.
        shape: Shape of its inputs, without the batch: (features,), or (channels, H, W).
        bound: c, the largest norm.
        iterations: Power iterations of each pass in training mode.

    Reference:
        Miyato et al. (2018), Spectral normalization; Gouk et al. (2021), Regularisation of neural networks by
        enforcing Lipschitz continuity, for convolutions; Liu et al. (2020), Simple and principled uncertainty
        estimation, equation 9, for the soft bound.
    """

    direction: Tensor

    def __init__(self, layer: Layer, shape: Sequence[int], bound: float, iterations: int = 1) -> None:
        super().__init__()
        self.bound = bound
        self.iterations = iterations
        self._settings: Any = None
        self._map: Callable[..., Tensor] = functional.linear
        if not isinstance(layer, nn.Linear):
            self._map = (functional.conv1d, functional.conv2d, functional.conv3d)[layer.weight.ndim - 3]
            if layer.padding_mode != "zeros":
                raise InputError(f"spectral_bound: convolutions pad with zeros, not '{layer.padding_mode}'.")
            self._settings = layer.stride, layer.padding, layer.dilation, layer.groups
        start = torch.randn(1, *shape).to(layer.weight)
        self.register_buffer("direction", _unit(start))
        self._advance(layer.weight.detach(), START)

    def forward(self, weight: Tensor) -> Tensor:
        """The weight, scaled down where its norm is beyond the bound."""
        if self.training:
            self._advance(weight.detach(), self.iterations)
        norm = torch.linalg.vector_norm(self._linear(weight, self.direction))
        bounded: Tensor = weight * (self.bound / norm.clamp(min=torch.finfo(norm.dtype).tiny)).clamp(max=1.0)
        return bounded

    def _linear(self, weight: Tensor, x: Tensor) -> Tensor:
        if self._settings is None:
            return self._map(x, weight)
        return self._map(x, weight, None, *self._settings)

    def _advance(self, weight: Tensor, iterations: int) -> None:
        """Power iterations v ← AᵀAv/‖AᵀAv‖."""
        for _ in range(iterations):
            with torch.enable_grad():
                at = self.direction.clone().requires_grad_(True)
                image = self._linear(weight, at)
                (back,) = torch.autograd.grad(image, at, image.detach())
            # anew, not in place: a graph of an earlier pass may still need the old one
            self.direction = _unit(back.detach(), self.direction)


def spectral_bound(
    model: nn.Module,
    shape: Sequence[int],
    bound: float = 6.0,
    iterations: int = 1,
    *,
    head: bool = False,
) -> nn.Module:
    """Bound the spectral norm of every linear layer and convolution of a model, in place.

    Layers whose weights are not trained are left as they are, and so is the last layer, the head, unless it
    is asked for. BatchNorm between layers can undo what the bound does; it is not bounded.

    Args:
        model: A network.
        shape: Shape of one input, without the batch: the norm of a convolution depends on its size.
        bound: c, the largest norm of a layer.
        iterations: Power iterations of each pass in training mode.
        head: Whether the last layer is bounded too.

    Returns:
        The model.

    Raises:
        InputError: If a number is out of range, there is no such layer, or inputs of that shape do not fit.

    Reference:
        Liu et al. (2020), Simple and principled uncertainty estimation with deterministic deep learning.
    """
    if not 0.0 < bound < math.inf or iterations < 1:
        raise InputError(
            f"spectral_bound: bound is positive and iterations at least 1, not {bound} and {iterations}."
        )
    for name, part in model.named_modules():
        if isinstance(part, UNBOUNDED):
            raise InputError(
                f"spectral_bound: layer '{name}' is a {type(part).__name__}, whose norm is not bounded here;"
                " linear layers and convolutions are."
            )
    layers = [part for part in model.modules() if isinstance(part, Layer)]
    layers = [part for part in (layers if head else layers[:-1]) if part.weight.requires_grad]
    if not layers:
        raise InputError(f"spectral_bound: {type(model).__name__} has no linear layer below its head.")
    shapes = _input_shapes(model, layers, shape)
    for layer, seen in zip(layers, shapes, strict=True):
        parametrize.register_parametrization(layer, "weight", SpectralBound(layer, seen, bound, iterations))
    return model


def _input_shapes(model: nn.Module, layers: Sequence[Layer], shape: Sequence[int]) -> list[tuple[int, ...]]:
    """Shapes of what layers read in one pass, without the batch."""
    seen: dict[int, tuple[int, ...]] = {}

    def note(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        read = tuple(inputs[0].shape[1:])
        seen[id(layer)] = read[-1:] if isinstance(layer, nn.Linear) else read

    handles = [layer.register_forward_pre_hook(note) for layer in layers]
    mode = model.training
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, *shape).to(layers[0].weight))
    except RuntimeError as error:
        raise InputError(
            f"spectral_bound: {type(model).__name__} takes no inputs of shape {tuple(shape)}: {error}"
        ) from error
    finally:
        model.train(mode)
        for handle in handles:
            handle.remove()
    if len(seen) < len(layers):
        raise InputError(f"spectral_bound: {type(model).__name__} has layers that a pass does not reach.")
    return [seen[id(layer)] for layer in layers]


def _unit(vector: Tensor, otherwise: Tensor | None = None) -> Tensor:
    """The vector at norm 1; what is zero stays, or gives way to another."""
    length = torch.linalg.vector_norm(vector)
    if otherwise is not None and not bool(length > 0):
        return otherwise
    unit: Tensor = vector / length.clamp(min=torch.finfo(vector.dtype).tiny)
    return unit
