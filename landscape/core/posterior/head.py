"""The head of a network: its last linear layer, and the Jacobian of the outputs in it, in closed form."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from landscape.core.problem.parameters import ParameterSpace
from landscape.errors import InputError

__all__ = ["HeadJacobian", "find_head", "head_entries", "read_by"]

T = TypeVar("T")


def find_head(module: nn.Module, call: Callable[[], Tensor]) -> str:
    """The name of the linear layer whose output is that of the module.

    Args:
        module: A module in evaluation mode.
        call: Calls it on some inputs and gives its output.

    Raises:
        InputError: If the module's output is not that of a linear layer that reads a vector per example.
    """
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def fired(_: nn.Module, __: Any, output: Tensor) -> None:
            seen[name] = output

        return fired

    handles = [
        part.register_forward_hook(keep(name))
        for name, part in module.named_modules()
        if isinstance(part, nn.Linear)
    ]
    try:
        with torch.no_grad():
            output = call()
    finally:
        for handle in handles:
            handle.remove()
    for name, found in reversed(seen.items()):
        if found is output or (found.shape == output.shape and torch.equal(found, output)):
            return name
    raise InputError(
        f"the output of {type(module).__name__} is not that of a linear layer; take structure='diagonal',"
        " 'subnetwork' or 'low_rank'."
    )


def read_by(layer: nn.Module, call: Callable[[], T]) -> tuple[Tensor, T]:
    """What a layer reads in a call, and what the call returns.

    Args:
        layer: A layer of one input, which the call runs; of several runs the last counts.
        call: Runs the network.
    """
    read: list[Tensor] = []
    # a copy, since the layers that follow may change it in place
    handle = layer.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0].clone()))
    try:
        made = call()
    finally:
        handle.remove()
    return read[-1], made


def head_entries(space: ParameterSpace, name: str) -> Tensor:
    """The entries of θ that are weight and bias of a layer, ascending.

    Args:
        space: The parameters that form θ.
        name: The layer's name.

    Raises:
        InputError: If θ does not hold its weight.
    """
    starts = dict(zip(space.names, accumulate(space.sizes, initial=0), strict=False))
    sizes = dict(zip(space.names, space.sizes, strict=True))
    prefix = f"{name}." if name else ""
    parts = [n for n in (f"{prefix}weight", f"{prefix}bias") if n in starts]
    if f"{prefix}weight" not in parts:
        raise InputError(f"the chosen parameters lack '{prefix}weight', the weight of the last layer.")
    return torch.cat([torch.arange(starts[n], starts[n] + sizes[n]) for n in parts])


class HeadJacobian:
    """The Jacobian in the head: φ in the rows of the weight and 1 in the bias, which gradients pass through.

    Args:
        module: A module in evaluation mode.
        name: The layer of `find_head`.
        bias: Whether its bias is among the entries.
    """

    def __init__(self, module: nn.Module, name: str, *, bias: bool) -> None:
        self.module = module
        self.name = name
        self.bias = bias

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs (N, C) of inputs (N, ...), and their Jacobian, as `of`."""
        return self.of(lambda: self.module(x))

    def of(self, call: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
        """Outputs (N, C) of a call of the module, and their Jacobian (N, C, CD + C): weight, then bias.

        Raises:
            InputError: If the layer does not read a vector per example.
        """
        read: list[Tensor] = []
        layer = self.module.get_submodule(self.name)
        handle = layer.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
        try:
            outputs = call()
        finally:
            handle.remove()
        features = read[-1]
        if features.ndim != 2 or outputs.ndim != 2:
            raise InputError(
                f"the last layer reads {tuple(features.shape)}; a closed form needs (examples, features)."
            )
        count = outputs.shape[1]
        eye = torch.eye(count, dtype=features.dtype, device=features.device)
        weight = torch.einsum("cd,nf->ncdf", eye, features).flatten(2)
        bias = eye.expand(len(features), -1, -1)
        return outputs, torch.cat([weight, bias], dim=-1) if self.bias else weight
