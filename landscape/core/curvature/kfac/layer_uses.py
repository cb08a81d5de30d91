"""What layers see: their inputs and outputs in one forward pass, as rows that a weight matrix maps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from landscape.core.problem.problem import Problem

__all__ = ["LayerUse", "kind_of", "watched_layers"]


@dataclass
class LayerUse:
    """One call of a layer.

    Attributes:
        module: The layer.
        input: Its first input, detached.
        output: Its output, in the graph of the pass.
        axis: The axis of both on which examples lie.
    """

    module: nn.Module
    input: Tensor
    output: Tensor
    axis: int = 0

    def inputs(self, *, bias: bool) -> Tensor:
        """What the weight multiplies (B, T, G, a), T positions that share it, a one behind it for the bias.

        Of an embedding the tokens (B, T).
        """
        rows = _rows(self.module, self._examples_first(self.input))
        if isinstance(self.module, nn.Embedding):
            return rows
        return torch.cat([rows, torch.ones_like(rows[..., :1])], -1) if bias else rows

    def slopes(self, gradient: Tensor) -> Tensor:
        """The gradient in the output, as (B, T, G, s)."""
        gradient = self._examples_first(gradient)
        if isinstance(self.module, _ConvNd):
            rows = gradient.flatten(2).mT
            return rows.reshape(*rows.shape[:2], self.module.groups, -1)
        if isinstance(self.module, nn.Linear | nn.Embedding):
            return gradient.reshape(len(gradient), -1, 1, gradient.shape[-1])
        return gradient

    def of_scale(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Of a norm, gradients by example in its weight and its bias, (B, *shape of the weight) each."""
        module = self.module
        x = self._examples_first(self.input)
        gradient = self._examples_first(gradient)
        plain = _normalised(module, x)
        if isinstance(module, nn.LayerNorm):
            axes = tuple(range(1, x.ndim - len(module.normalized_shape)))
        else:
            axes = tuple(range(2, x.ndim))
        both = gradient * plain, gradient
        if axes:
            both = both[0].sum(axes), both[1].sum(axes)
        return both

    def _examples_first(self, tensor: Tensor) -> Tensor:
        return tensor.movedim(self.axis, 0) if self.axis else tensor


def kind_of(module: nn.Module) -> str:
    """``linear``, ``convolution``, ``embedding``, ``norm``, or nothing for layers of other kinds."""
    if isinstance(module, nn.Linear):
        return "linear"
    if isinstance(module, _ConvNd) and not isinstance(module, _ConvTransposeNd):
        return "convolution"
    if isinstance(module, nn.Embedding):
        return "embedding"
    if isinstance(module, nn.LayerNorm | nn.GroupNorm | _BatchNorm):
        return "norm"
    return ""


@contextmanager
def watched_layers(problem: Problem) -> Iterator[list[LayerUse]]:
    """Within it, calls of layers that hold chosen parameters gather in the list."""
    chosen = {id(p) for p in problem.parameters}
    uses: list[LayerUse] = []

    def fired(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        if not args or not isinstance(args[0], Tensor) or not isinstance(output, Tensor):
            return output
        if not output.requires_grad:
            return output
        uses.append(LayerUse(module, args[0].detach().clone(), output))
        # a copy goes on, so that what follows in place does not write into what is differentiated by
        return output.clone()

    handles = [
        module.register_forward_hook(fired)
        for module in problem.module.modules()
        if kind_of(module) and any(id(p) in chosen for p in module.parameters(recurse=False))
    ]
    try:
        yield uses
    finally:
        for handle in handles:
            handle.remove()


def _rows(module: nn.Module, x: Tensor) -> Tensor:
    if isinstance(module, nn.Embedding):
        return x.reshape(len(x), -1)
    if isinstance(module, nn.Linear):
        return x.reshape(len(x), -1, 1, x.shape[-1])
    assert isinstance(module, _ConvNd)
    patches = _patches(module, x)  # (B, C, *positions, *kernel)
    d = len(module.kernel_size)
    order = (0, *range(2, 2 + d), 1, *range(2 + d, 2 + 2 * d))
    patches = patches.permute(order).flatten(1, d)
    return patches.reshape(*patches.shape[:2], module.groups, -1)


def _patches(module: _ConvNd, x: Tensor) -> Tensor:
    """The entries that each position of a convolution sees."""
    x = F.pad(x, _padding(module), "constant" if module.padding_mode == "zeros" else module.padding_mode)
    for axis, (k, stride, dilation) in enumerate(
        zip(module.kernel_size, module.stride, module.dilation, strict=True), start=2
    ):
        x = x.unfold(axis, dilation * (k - 1) + 1, stride)[..., ::dilation]
    return x


def _padding(module: _ConvNd) -> list[int]:
    """As `torch.nn.functional.pad` takes it: the last axis first."""
    sides: list[int] = []
    for axis in reversed(range(len(module.kernel_size))):
        if module.padding == "same":
            total = module.dilation[axis] * (module.kernel_size[axis] - 1)
            sides += [total // 2, total - total // 2]
        elif module.padding == "valid":
            sides += [0, 0]
        else:
            sides += [int(module.padding[axis])] * 2
    return sides


def _normalised(module: nn.Module, x: Tensor) -> Tensor:
    """What a norm multiplies by its scale."""
    if isinstance(module, nn.LayerNorm):
        return F.layer_norm(x, module.normalized_shape, eps=module.eps)
    if isinstance(module, nn.GroupNorm):
        return F.group_norm(x, module.num_groups, eps=module.eps)
    assert isinstance(module, _BatchNorm)
    return F.batch_norm(x, module.running_mean, module.running_var, eps=module.eps, training=module.training)
