"""Norms of a network's layers with BatchNorm folded into them, and its path norm."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.overrides import TorchFunctionMode

from landscape.core.weights.matrices import layer_weights

__all__ = ["FoldedLayer", "folded_layers", "path_norm"]


@dataclass(frozen=True)
class FoldedLayer:
    """A layer as one linear map with the BatchNorm that reads its output, in eval mode.

    Attributes:
        name: Name of the layer; of a BatchNorm that reads no layer's output, its own.
        matrix: (outputs, inputs × taps), rows scaled by γ/√(σ² + ε); of a BatchNorm alone a diagonal (n, 1).
        folded: Name of the BatchNorm; empty if there is none.
    """

    name: str
    matrix: Tensor
    folded: str = ""

    @property
    def spectral_norm(self) -> float:
        """Largest singular value of the matrix; of a diagonal its largest modulus."""
        if self.matrix.shape[1] == 1 and self.folded == self.name:
            return float(self.matrix.abs().max())
        return float(torch.linalg.matrix_norm(self.matrix, 2))

    @property
    def frobenius_norm(self) -> float:
        """Root of the sum of squares of the entries."""
        return float(self.matrix.norm())


def folded_layers(model: nn.Module, run: Callable[[], object]) -> list[FoldedLayer]:
    """Layers with a matrix of weights, each with the BatchNorm that reads just its output.

    Which one that is, a pass tells, whatever the order of a model's children: the tensor that it reads is the
    one that the layer put out. A layer that runs more than once keeps its own weights.

    Args:
        model: In eval mode.
        run: Makes a forward pass of the model.
    """
    readers = _readers(model, run)
    names = {module: name for name, module in model.named_modules()}
    behind = {layer: norm for norm, layer in readers.items() if layer is not None}
    found = []
    for layer in layer_weights(model):
        matrix, norm = layer.matrix(), behind.get(layer.module)
        if norm is not None:
            matrix = _affine(norm)[0].to(matrix.device)[:, None] * matrix
        found.append(FoldedLayer(layer.name, matrix, names.get(norm, "") if norm is not None else ""))
    alone = [norm for norm, layer in readers.items() if layer is None]
    return found + [FoldedLayer(names[n], _affine(n)[0][:, None], names[n]) for n in alone]


def _readers(model: nn.Module, run: Callable[[], object]) -> dict[nn.Module, nn.Module | None]:
    """The BatchNorms that run, each with the layer whose output it alone can be said to read, or ``None``."""
    owner: dict[int, nn.Module] = {}
    reads: dict[nn.Module, nn.Module | None] = {}
    calls: dict[nn.Module, int] = {}
    alive: list[Tensor] = []  # a freed tensor's identity would be another's

    def put_out(module: nn.Module, inputs: Any, output: Any) -> None:
        calls[module] = calls.get(module, 0) + 1
        if isinstance(output, Tensor):
            owner[id(output)] = module
            alive.append(output)

    def read(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        calls[module] = calls.get(module, 0) + 1
        reads[module] = owner.get(id(inputs[0])) if inputs else None

    # of a transposed convolution outputs lie along another axis
    plain = (m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d))
    handles = [m.register_forward_hook(put_out) for m in plain]
    handles += [m.register_forward_pre_hook(read) for m in model.modules() if _has_statistics(m)]
    try:
        with torch.no_grad():
            run()
    finally:
        for handle in handles:
            handle.remove()
    once = {module for module, count in calls.items() if count == 1}
    return {norm: layer if layer in once and norm in once else None for norm, layer in reads.items()}


def _has_statistics(module: nn.Module) -> bool:
    return isinstance(module, _BatchNorm) and module.running_mean is not None


def _affine(norm: Any) -> tuple[Tensor, Tensor]:
    """Scale and shift (C,) of a BatchNorm in eval mode, in float64."""
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.detach().double()
    shift = -norm.running_mean.double() * scale
    return scale, shift if norm.bias is None else shift + norm.bias.detach().double()


_PASSING = (
    nn.Linear,
    _ConvNd,
    _BatchNorm,
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.Identity,
    nn.Sequential,  # an empty one is the shortcut of many residual networks
    nn.Flatten,
    nn.Unflatten,
    nn.modules.dropout._DropoutNd,
    nn.modules.pooling._AvgPoolNd,
    nn.modules.pooling._MaxPoolNd,
    nn.modules.pooling._AdaptiveAvgPoolNd,
    nn.modules.pooling._AdaptiveMaxPoolNd,
)
_BENT = {"softmax", "gelu", "silu", "tanh", "sigmoid", "layer_norm", "group_norm", "instance_norm", "elu"}
_BENT |= {
    "scaled_dot_product_attention",
    "softplus",
    "mish",
    "hardswish",
    "hardsigmoid",
    "exp",
    "matmul",
    "bmm",
}


class _BentError(Exception):
    """An operation that no path has a weight of."""


class _Watch(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if getattr(func, "__name__", "") in _BENT:
            raise _BentError
        return func(*args, **(kwargs or {}))


def path_norm(model: nn.Module, shape: Sequence[int]) -> float:
    """Root of the sum over paths from an input, or a bias, to an output, of the product of squared weights.

    That is the sum of outputs of the network with BatchNorm folded into its layers and all weights squared,
    for an input of ones. Averages and maxima are taken as they stand, as in the published measure. NaN of a
    network with operations that have no paths: normalisation over an example, attention, activations other
    than rectifiers.

    Args:
        model: In eval mode.
        shape: Of one input, without the batch.

    Reference:
        Neyshabur, Tomioka & Srebro (2015), Norm-based capacity control in neural networks; Jiang et al.
        (2020), appendix C.3.
    """
    if not all(isinstance(m, _PASSING) for m in model.modules() if _does_something(m)):
        return float("nan")
    squared = copy.deepcopy(model).double()
    ones = torch.ones(1, *shape, dtype=torch.float64, device=next(squared.parameters()).device)
    try:
        with torch.no_grad(), _Watch():
            _fold(squared, _readers(squared, lambda: squared(ones)))
            for p in squared.parameters():
                p.square_()
            output = squared(ones)
    except _BentError:
        return float("nan")
    return float(output.sum().sqrt()) if isinstance(output, Tensor) else float("nan")


def _does_something(module: nn.Module) -> bool:
    return not list(module.children()) or bool(list(module.parameters(recurse=False)))


def _fold(model: nn.Module, readers: dict[nn.Module, nn.Module | None]) -> None:
    """Put each BatchNorm into the layer that it reads, or make it a scale and shift of its own."""
    for norm, layer in readers.items():
        scale, shift = _affine(norm)
        one: Any = norm
        one.running_mean.zero_()
        one.running_var.fill_(1.0)
        one.eps = 0.0
        if layer is not None:
            into: Any = layer
            bias = into.bias if into.bias is not None else torch.zeros_like(scale)
            into.bias = nn.Parameter(bias * scale + shift)
            into.weight = nn.Parameter(into.weight * scale.reshape(-1, *[1] * (into.weight.ndim - 1)))
            scale, shift = torch.ones_like(scale), torch.zeros_like(shift)
        one.weight, one.bias = nn.Parameter(scale), nn.Parameter(shift)
