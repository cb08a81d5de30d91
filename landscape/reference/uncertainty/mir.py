"""Maximally informative representations: features that a decoder can make the input of again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from landscape.errors import InputError
from landscape.imports import call

__all__ = ["Reconstructing", "mir_network"]


class Reconstructing(nn.Module):
    """A classifier with a decoder from what its head reads to its input.

    Its outputs are those of the classifier; the decoder serves the training alone, by
    `landscape.reference.training.methods.Reconstruction`, and a density of the features the prediction, see
    `landscape.reference.uncertainty.feature_density`.

    Args:
        model: A classifier that ends in the linear layer `head`.
        head: This layer.
        shape: Shape of one input.
        hidden: Units of the decoder's hidden layer.

    Reference:
        Postels et al. (2020), The hidden uncertainty in a neural network's activations; Postels et al.
        (2022), On the practicality of deterministic epistemic uncertainty, section 3.
    """

    def __init__(self, model: nn.Module, head: nn.Linear, shape: Sequence[int], hidden: int = 200) -> None:
        super().__init__()
        self.model = model
        self.decoder = nn.Sequential(
            nn.Linear(head.in_features, hidden), nn.ReLU(), nn.Linear(hidden, math.prod(shape))
        )
        self._read: list[Tensor] = []
        head.register_forward_pre_hook(self._keep)

    def _keep(self, head: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if self.training:  # of the last pass in training alone
            self._read[:] = inputs[:1]

    def forward(self, x: Tensor) -> Tensor:
        """The classifier's outputs."""
        outputs: Tensor = self.model(x)
        return outputs

    def reconstruction(self) -> Tensor:
        """What the decoder makes of the features of the last pass in training mode: (N, numbers of an input).

        Raises:
            InputError: If there was none since the last call.
        """
        if not self._read:
            raise InputError("there is nothing to reconstruct: no pass in training mode came before.")
        made: Tensor = self.decoder(self._read.pop())
        return made


def mir_network(
    builder: str = "landscape.reference.models:resnet",
    kwargs: Mapping[str, Any] | None = None,
    shape: Sequence[int] = (1, 28, 28),
    hidden: int = 200,
) -> Reconstructing:
    """Builder of a classifier with a decoder, for manifests and recipes.

    Args:
        builder: Builder of a network that ends in a `torch.nn.Linear`, ``package.module:function``.
        kwargs: Its arguments.
        shape: Shape of one input.
        hidden: Units of the decoder's hidden layer.

    Raises:
        InputError: If the builder cannot be used, or its network does not end in a linear layer.
    """
    model = call(builder, dict(kwargs or {}), "model builder")
    linear = [part for part in model.modules() if isinstance(part, nn.Linear)]
    if not linear:
        raise InputError(f"mir_network: {type(model).__name__} has no linear layer whose inputs to decode.")
    return Reconstructing(model, linear[-1], shape, hidden)
