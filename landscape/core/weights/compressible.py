"""Which numbers of a model compression changes, and how often each is used."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from landscape.errors import InputError

__all__ = ["channel_axis", "compressible", "counting_uses"]

WEIGHT = re.compile(r"weight|(in|q|k|v)_proj_weight|weight_(ih|hh|hr)_l\d+(_reverse)?")
"""Last names of matrices and kernels; old weight normalisation's ``weight_g`` and ``weight_v`` are none."""


def compressible(model: nn.Module, doing: str = "compress") -> dict[str, nn.Parameter]:
    """Matrices and kernels by name: parameters called ``weight`` with more than one axis.

    So are those that torch's attention and recurrent layers call otherwise (``in_proj_weight``,
    ``q_proj_weight``, ``weight_ih_l0`` and their like). Biases, norms, class tokens and position embeddings
    are no part of them, nor are weights under a parametrisation, such as spectral normalisation: bake these
    first (`torch.nn.utils.parametrize.remove_parametrizations`). A tied weight comes once, under its first
    name.

    Args:
        model: The model.
        doing: What is to be done, for the sentence.

    Raises:
        InputError: If there are none.
    """
    found = {
        name: parameter
        for name, parameter in model.named_parameters()
        if WEIGHT.fullmatch(name.rpartition(".")[2])
        and parameter.ndim > 1
        and parameter.numel()
        and parameter.is_floating_point()
    }
    if not found:
        raise InputError(f"{type(model).__name__} has no matrix or kernel to {doing}.")
    return found


def channel_axis(model: nn.Module, name: str) -> int:
    """The axis of a weight along which outputs lie: the first, but the second of a transposed convolution."""
    return int(isinstance(model.get_submodule(name.rpartition(".")[0]), _ConvTransposeNd))


@contextmanager
def counting_uses(model: nn.Module) -> Iterator[Mapping[str, int]]:
    """Within it, how often each entry of a weight is multiplied in the passes that are made, by its name.

    A linear layer uses each of its weights once per row, a convolution once per place of its output (of its
    input, if it is transposed). Layers that are called as modules count; products of activations, such as
    those of attention, and layers that a fused call passes over do not.
    """
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    uses: dict[str, int] = {}

    def note(module: Any, inputs: tuple[Any, ...], output: Any) -> None:
        # the first axis of a weight is that of the outputs; of a transposed convolution, that of the inputs
        places = inputs[0] if isinstance(module, _ConvTransposeNd) else output
        name = names.get(id(module.weight))
        if name is not None and isinstance(places, Tensor):
            uses[name] = uses.get(name, 0) + places.numel() // max(len(module.weight), 1)

    handles = [
        module.register_forward_hook(note)
        for module in model.modules()
        if isinstance(module, nn.Linear | _ConvNd)
    ]
    try:
        yield uses
    finally:
        for handle in handles:
            handle.remove()
