"""Low rank: the weights of each layer as a product of two smaller matrices."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from landscape.core.weights.compressible import compressible
from landscape.core.weights.matrices import LayerWeight
from landscape.errors import InputError

__all__ = ["factorise", "low_rank"]


def low_rank(model: nn.Module, data: Any = None, *, share: float) -> nn.Module:
    """A copy of a model whose matrices and kernels have a lower rank.

    A weight as a matrix (outputs, inputs × taps) of full rank r keeps its ``max(1, round(share · r))``
    largest singular values: no matrix of that rank is nearer to it in the Frobenius norm. Weights keep their
    shape, so that the plain model loads them; `factorise` makes the two layers of them that are cheaper. A
    weight with NaN or an infinite entry becomes NaN.

    Args:
        model: The trained model; it is left alone.
        data: Not looked at. It is here because every compression takes it.
        share: Share of the full rank that is kept, above 0 and at most 1.

    Returns:
        A model with the same modules, in the same mode.

    Raises:
        InputError: If the share is out of range, or there is no matrix or kernel.

    Reference:
        Eckart & Young (1936); Denton et al. (2014), Exploiting linear structure within convolutional networks
        for efficient evaluation.

    Example:
        >>> layer = nn.Linear(2, 2)
        >>> with torch.no_grad():
        ...     _ = layer.weight.copy_(torch.tensor([[3.0, 0.0], [0.0, 1.0]]))
        >>> low_rank(layer, share=0.5).weight.round(decimals=3).tolist()
        [[3.0, 0.0], [0.0, 0.0]]
    """
    if not 0 < share <= 1:
        raise InputError(f"low_rank: share lies above 0 and at most at 1, not {share}.")
    reduced = copy.deepcopy(model)
    with torch.no_grad():
        for name, weight in compressible(reduced, "reduce").items():
            layer = reduced.get_submodule(name.rpartition(".")[0])
            matrix = LayerWeight(name, name, layer, weight).matrix()
            rank = max(1, round(share * min(matrix.shape)))
            if not torch.isfinite(matrix).all():
                weight.fill_(float("nan"))
            elif rank < min(matrix.shape):
                left, right = _factors(matrix, rank)
                weight.copy_(_like(left @ right, layer, weight))
    return reduced


def factorise(model: nn.Module, data: Any = None, *, tolerance: float = 1e-5) -> nn.Module:
    """A copy of a model in which layers of low rank are pairs of layers, where that has fewer weights.

    A convolution of rank r becomes one with r channels and a 1×1 convolution, a linear layer two linear ones.
    Its outputs are those of the model up to rounding, but its state is another: this is the form to measure
    or to ship, not that of a checkpoint. Grouped and transposed convolutions stay, and weights with NaN.

    Args:
        model: A model, such as one of `low_rank`; it is left alone.
        data: Not looked at.
        tolerance: Singular values below this share of the largest count as zero.

    Returns:
        The model with ``nn.Sequential`` pairs in place of some layers.
    """
    pairs = copy.deepcopy(model)
    for path, layer in list(pairs.named_modules()):
        pair = _pair(layer, tolerance)
        if pair is not None and path:
            above, _, name = path.rpartition(".")
            setattr(pairs.get_submodule(above), name, pair.train(layer.training))
    return pairs


def _pair(layer: nn.Module, tolerance: float) -> nn.Sequential | None:
    """The two layers, if they have fewer weights; else ``None``."""
    plain = type(layer) is nn.Linear or (type(layer) is nn.Conv2d and layer.groups == 1)
    if not plain:
        return None
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    weight = layer.weight
    matrix = weight.detach().double().flatten(1)
    if not torch.isfinite(matrix).all():
        return None
    values = torch.linalg.svdvals(matrix)
    rank = max(1, int((values > tolerance * values[0]).sum()))
    if rank * sum(matrix.shape) >= matrix.numel():
        return None
    left, right = (part.to(weight.dtype) for part in _factors(matrix, rank))
    options: dict[str, Any] = {"device": weight.device, "dtype": weight.dtype}
    first: nn.Linear | nn.Conv2d
    second: nn.Linear | nn.Conv2d
    if isinstance(layer, nn.Conv2d):
        how: dict[str, Any] = {"padding_mode": layer.padding_mode}
        how |= {"stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation}
        first = nn.Conv2d(layer.in_channels, rank, layer.kernel_size, bias=False, **how, **options)  # type: ignore[arg-type]
        second = nn.Conv2d(rank, layer.out_channels, 1, bias=layer.bias is not None, **options)
    else:
        first = nn.Linear(matrix.shape[1], rank, bias=False, **options)
        second = nn.Linear(rank, matrix.shape[0], bias=layer.bias is not None, **options)
    with torch.no_grad():
        first.weight.copy_(right.view_as(first.weight))
        second.weight.copy_(left.view_as(second.weight))
        if layer.bias is not None and second.bias is not None:
            second.bias.copy_(layer.bias)
    return nn.Sequential(first, second)


def _factors(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Two matrices (n, r) and (r, m), each with a root of the singular values, so that neither is small."""
    U, s, V = torch.linalg.svd(matrix, full_matrices=False)
    root = s[:rank].sqrt()
    return U[:, :rank] * root, root[:, None] * V[:rank]


def _like(matrix: Tensor, layer: nn.Module, weight: Tensor) -> Tensor:
    """The matrix of a layer in the shape of its weight: the inverse of `LayerWeight.matrix`."""
    if not isinstance(layer, nn.modules.conv._ConvTransposeNd):
        return matrix.view(weight.shape).to(weight.dtype)
    groups = layer.groups
    parts = matrix.view(groups, weight.shape[1], weight.shape[0] // groups, *weight.shape[2:])
    return parts.transpose(1, 2).reshape(weight.shape).to(weight.dtype)
