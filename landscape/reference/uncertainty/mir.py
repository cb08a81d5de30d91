"""Maximally informative representations: features that a decoder can make the input of again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from landscape.errors import InputError
from landscape.imports import call

__all__ = ["Reconstructing", "mir_network"]

FEATURES = "_landscape_features"
"""Attribute of outputs that holds what the head has read."""


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
        self._read[:] = inputs[:1]

    def forward(self, x: Tensor) -> Tensor:
        """The classifier's outputs."""
        outputs: Tensor = self.model(x)
        if self.training and self._read:
            # on the outputs: they live as long as these do, and another pass does not take their place
            setattr(outputs, FEATURES, self._read[0])
        self._read.clear()
        return outputs

    def reconstruction(self, outputs: Tensor) -> Tensor:
        """What the decoder makes of the features of a pass in training mode: (N, numbers of an input).

        Args:
            outputs: What the pass gave.

        Raises:
            InputError: If it is no such pass.
        """
        features = getattr(outputs, FEATURES, None)
        if features is None:
            raise InputError("there is nothing to reconstruct: the outputs are of no pass in training mode.")
        made: Tensor = self.decoder(features)
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
