"""The weights of a model's layers as matrices."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.utils import parametrize

from landscape.errors import InapplicableError, InputError, suggest

__all__ = ["LayerWeight", "layer_weights"]


@dataclass(frozen=True)
class LayerWeight:
    """A weight of a layer.

    Attributes:
        name: Name of the parameter; of one called ``weight``, the layer's.
        parameter: Its name in the model's state.
        module: The layer.
        weight: The weight as the layer applies it, with all its axes.
    """

    name: str
    parameter: str
    module: nn.Module
    weight: Tensor

    def matrix(self, weight: Tensor | None = None) -> Tensor:
        """It, or another weight of its shape, as a matrix (outputs, inputs × taps) in float64.

        Filters of a convolution are rows; those of a transposed one lie along the second axis of its weight,
        once per group.
        """
        weight = (self.weight if weight is None else weight).detach().double()
        if isinstance(self.module, _ConvTransposeNd):
            groups = self.module.groups
            parts = weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
            weight = parts.transpose(1, 2).flatten(0, 1)
        return weight.flatten(1)


def layer_weights(model: nn.Module, patterns: Sequence[str] = ("*",)) -> list[LayerWeight]:
    """The weights with at least two rows and two columns, frozen ones too, in the model's order.

    A tied weight comes once, under its first name; of a parametrised one (weight or spectral normalisation)
    what the layer applies. Biases, norms and position embeddings are no matrices.

    Args:
        model: The model.
        patterns: Globs over names as in `LayerWeight.name`.

    Raises:
        InputError: If the model has no such weight, or a glob matches none.
    """
    seen: set[int] = set()
    found = []
    for layer in _weights(model):
        matrix = layer.weight.ndim > 1 and layer.weight.is_floating_point()
        if not matrix or id(layer.weight) in seen or min(layer.matrix().shape) < 2:
            continue
        seen.add(id(layer.weight))
        found.append(layer)
    if not found:
        raise InapplicableError(f"no layer of {type(model).__name__} has a matrix of weights.")
    names = [layer.name for layer in found]
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise InputError(
                f"no weight of {type(model).__name__} matches '{pattern}'; {suggest(pattern, names)}"
            )
    return [layer for layer in found if any(fnmatch.fnmatchcase(layer.name, p) for p in patterns)]


def _weights(model: nn.Module) -> Iterator[LayerWeight]:
    for path, module in model.named_modules():
        if isinstance(module, parametrize.ParametrizationList):
            continue
        prefix = f"{path}." if path else ""
        own = dict(module.named_parameters(recurse=False))
        if parametrize.is_parametrized(module):
            own |= {str(name): getattr(module, str(name)) for name in module.parametrizations}
        for name, weight in own.items():
            short = path or type(module).__name__ if name == "weight" else f"{prefix}{name}"
            yield LayerWeight(short, f"{prefix}{name}", module, weight)


def is_convolution(module: nn.Module) -> bool:
    """Whether a layer is a convolution, transposed or not."""
    return isinstance(module, _ConvNd)
