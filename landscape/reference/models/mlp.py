"""The multilayer perceptron, and the same as a regression with a variance."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from landscape.errors import InputError
from landscape.reference.layers.convolution import check_positive
from landscape.reference.uncertainty.gaussian import GaussianHead

__all__ = ["gaussian_mlp", "mlp"]


def mlp(widths: Sequence[int] = (784, 32, 10), dropout: float = 0.0) -> nn.Module:
    """A fully connected network with ReLU between its layers, named ``fc1``, ``fc2``, ...

    Args:
        widths: Inputs, hidden units of each layer, outputs.
        dropout: Share of each hidden layer that is dropped in training.

    Returns:
        A module from inputs (N, ...), flattened to (N, widths[0]), to outputs (N, widths[-1]).

    Raises:
        InputError: If there are fewer than two widths, or one is not positive.
    """
    if len(widths) < 2:
        raise InputError(f"mlp needs at least two widths (inputs and outputs), not {list(widths)}.")
    check_positive("mlp", **{f"widths[{i}]": width for i, width in enumerate(widths)})
    model = nn.Sequential()
    model.add_module("flatten", nn.Flatten())
    for i, (fan_in, fan_out) in enumerate(pairwise(widths), start=1):
        if i > 1:
            model.add_module(f"relu{i - 1}", nn.ReLU())
            if dropout:
                model.add_module(f"dropout{i - 1}", nn.Dropout(dropout))
        model.add_module(f"fc{i}", nn.Linear(fan_in, fan_out))
    return model


def gaussian_mlp(
    inputs: int = 10,
    hidden: Sequence[int] = (50,),
    targets: int = 1,
    variance: float | None = None,
    dropout: float = 0.0,
) -> GaussianHead:
    """An `mlp` of a regression that puts out means and variances, for the loss ``gaussian_nll``.

    Args:
        inputs: Number of inputs.
        hidden: Units of each hidden layer.
        targets: Number D of targets.
        variance: Of every target, if the network is to put out means alone; 1 trains on ½ of the squared
            error.
        dropout: Share of each hidden layer that is dropped in training.

    Raises:
        InputError: If a number is not positive, or the variance negative.

    Reference:
        Lakshminarayanan et al. (2017), section 3.3, for one hidden layer of 50 units.
    """
    outputs = 2 * targets if variance is None else targets
    return GaussianHead(mlp((inputs, *hidden, outputs), dropout), variance)
