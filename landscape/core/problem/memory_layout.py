"""Channels last or channels first: where the layout of images in memory decides whether gradients are right.

On CPUs torch leaves convolutions to oneDNN, whose weight gradient of a strided 1 x 1 convolution of few
channels writes past its workspace if the images lie channels last: the gradient is then wrong without a word,
or the process crashes or hangs, by what happens to lie behind (github.com/uxlfoundation/oneDNN/issues/6035).
Measured with torch 2.13 (oneDNN 3.12) on a processor with AVX2, in float32: wrong for every stride above 1
and fewer than 8 input channels, of a transposed convolution output channels; right with groups, with larger
kernels, in one or three dimensions, in float64 and half precision, and channels first.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from landscape.core.data.trees import plain

__all__ = ["has_unsound_convolution", "is_unsound", "sound_convolutions"]

_Modules = (nn.Conv2d, nn.ConvTranspose2d)


@cache
def _block() -> int:
    """Channels that oneDNN takes at a time: with fewer, it overruns its workspace.

    It goes by the processor, whatever torch is told to use: where torch is told, count on the wider one.
    """
    told = "ATEN_CPU_CAPABILITY" in os.environ
    return 8 if torch.backends.cpu.get_cpu_capability() == "AVX2" and not told else 16


def is_unsound(weight: Tensor, stride: int | Sequence[int], groups: int = 1) -> bool:
    """Whether torch may get the weight gradient of a convolution wrong for images that lie channels last.

    Args:
        weight: (O, C, h, w) of a convolution, or (C, O, h, w) of a transposed one.
        stride: One for both axes, or one each.
        groups: How many parts the channels are cut into.
    """
    strided = stride != 1 if isinstance(stride, int) else any(step != 1 for step in stride)
    return strided and groups == 1 and _is_narrow(weight)


def _is_narrow(weight: Tensor) -> bool:
    kernel = weight.ndim == 4 and weight.shape[2:] == (1, 1) and weight.shape[1] < _block()
    return kernel and weight.device.type == "cpu" and weight.dtype != torch.float64


def has_unsound_convolution(model: nn.Module) -> bool:
    """Whether a model has, or may have, a convolution that `is_unsound`.

    Of weights that are not those of a convolution module, only the shape is known: they may be one's.
    """
    for module in model.modules():
        if isinstance(module, _Modules):
            if is_unsound(module.weight, module.stride, module.groups):
                return True
        elif any(_is_narrow(weight) and len(weight) > 1 for weight in module.parameters(recurse=False)):
            return True
    return False


@contextmanager
def sound_convolutions(active: bool = True) -> Iterator[None]:
    """Within it, convolutions that are unsound with channels last get their operands channels first.

    Args:
        active: Whether to do anything: `has_unsound_convolution` of the model.
    """
    if not active:
        yield
        return
    with _PlainOperands():
        yield


class _PlainOperands(TorchFunctionMode):
    """Lays out what a convolution takes, whoever calls it: a module, or a forward pass of the user's."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        call = _laid_out(func) if func in _FUNCTIONS else func
        return call(*args, **(kwargs or {}))


_FUNCTIONS = (torch.conv2d, torch.conv_transpose2d)


def _laid_out(convolution: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A convolution that lays out its operands first."""

    def call(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: int | Sequence[int] = 1,
        *args: Any,
        **keywords: Any,
    ) -> Tensor:
        # Groups are not looked at: a layout too many costs some time, one too few a wrong gradient.
        if is_unsound(weight, stride):
            input, weight = plain(input), plain(weight)
        return convolution(input, weight, bias, stride, *args, **keywords)

    return call
