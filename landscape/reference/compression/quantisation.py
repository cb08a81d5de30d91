"""Quantisation: weights rounded to few values, after training or during some more of it.

The rounding is simulated: weights stay floats that lie on the grid, and load into the plain model.
Activations are not rounded.
"""

from __future__ import annotations

import copy
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from landscape.core.weights.compressible import channel_axis, compressible
from landscape.core.weights.quantisation import grid_step, quantised
from landscape.errors import InputError, suggest
from landscape.reference.training.tuning import tune

__all__ = ["FakeQuantised", "quantise", "quantise_aware"]

Scales = Literal["channel", "tensor"]


def quantise(model: nn.Module, data: Any = None, *, bits: int, scales: Scales = "channel") -> nn.Module:
    """A copy of a model whose matrices and kernels are rounded to ``2^bits − 1`` values about zero.

    Symmetric and uniform, see `landscape.core.weights.quantisation.quantised`. Biases and norms stay.

    Args:
        model: The trained model; it is left alone.
        data: Not looked at. It is here because every compression takes it.
        bits: Bits of a weight, at least 2; 32 or more change nothing.
        scales: ``"channel"``: each output channel has a step of its own; ``"tensor"``: one for all.

    Returns:
        A model with the same modules, in the same mode; its weights are floats on the grid.

    Raises:
        InputError: If there are fewer than 2 bits, the scales are unknown, or there is nothing to quantise.

    Reference:
        Jacob et al. (2018), section 2.1; per channel: Krishnamoorthi (2018), Quantizing deep convolutional
        networks for efficient inference, section 2.

    Example:
        >>> layer = nn.Linear(3, 1)
        >>> with torch.no_grad():
        ...     _ = layer.weight.copy_(torch.tensor([[1.0, 0.3, -0.6]]))
        >>> [round(w, 2) for w in quantise(layer, bits=2).weight[0].tolist()]
        [1.0, 0.0, -1.0]
    """
    _check(scales)
    rounded = copy.deepcopy(model)
    with torch.no_grad():
        for name, weight in compressible(rounded, "quantise").items():
            weight.copy_(quantised(weight, bits, _axis(rounded, name, scales)))
    return rounded


def quantise_aware(
    model: nn.Module,
    data: tuple[Tensor, Tensor],
    *,
    bits: int,
    scales: Scales = "channel",
    epochs: int = 2,
    lr: float = 3e-3,
    batch_size: int = 64,
    seed: int = 0,
) -> nn.Module:
    """A copy of a model trained on for a few epochs with rounded weights, then rounded for good.

    Each weight w is seen as w + (Q(w) − w), the bracket being a constant: rounded on the way forward, and
    with the gradient of the identity on the way back (straight-through estimator). A tied weight is rounded
    wherever it is used.

    Args:
        model: The trained model; it is left alone.
        data: Training inputs (N, ...) and labels (N,).
        bits: Bits of a weight, at least 2.
        scales: See `quantise`.
        epochs: Passes through the data; 0 is `quantise`.
        lr: Learning rate, see `landscape.reference.training.tuning.tune`.
        batch_size: Examples of a step.
        seed: Seed of the order of the examples.

    Returns:
        A model with the same modules, in eval mode; its weights are floats on the grid.

    Raises:
        InputError: As `quantise` and `tune` do; or if the model has a recurrent layer of torch's, whose fused
            call would not see rounded weights.

    Reference:
        Jacob et al. (2018), section 3; Bengio et al. (2013), Estimating or propagating gradients through
        stochastic neurons, for the estimator.
    """
    _check(scales)
    learner = copy.deepcopy(model)
    chosen = {id(weight) for weight in compressible(learner, "quantise").values()}
    rounded = [  # a tied weight under each of its names, or some of its uses would not be rounded
        name for name, weight in learner.named_parameters(remove_duplicate=False) if id(weight) in chosen
    ]
    for name in rounded:
        path, _, last = name.rpartition(".")
        layer = learner.get_submodule(path)
        if isinstance(layer, nn.RNNBase):
            raise InputError(
                f"quantise_aware cannot round the weights of {type(layer).__name__} '{path}' as it trains;"
                " use quantise."
            )
        if parametrize.is_parametrized(layer, last):
            continue  # a layer that is used under two names
        grid_step(layer.get_parameter(last), bits)  # refuses a number of bits before the training
        fake = FakeQuantised(bits, _axis(learner, name, scales))
        parametrize.register_parametrization(layer, last, fake)
    learner = tune(learner, data, epochs=epochs, lr=lr, batch_size=batch_size, seed=seed)
    for name in rounded:
        path, _, last = name.rpartition(".")
        layer = learner.get_submodule(path)
        if parametrize.is_parametrized(layer, last):
            parametrize.remove_parametrizations(layer, last, leave_parametrized=True)
    found = copy.deepcopy(model).eval()  # a parametrisation leaves weights behind the biases
    found.load_state_dict(learner.state_dict())
    return found


class FakeQuantised(nn.Module):
    """A parametrisation of a weight: rounded forward, the identity backward.

    Attributes:
        bits: Bits of a weight.
        axis: The axis along which each channel has a step of its own; ``None`` for one step.
    """

    def __init__(self, bits: int, axis: int | None = 0) -> None:
        super().__init__()
        self.bits, self.axis = bits, axis

    def forward(self, weight: Tensor) -> Tensor:
        """The rounded weight, whose gradient by the weight is 1."""
        # so, and not w + (Q(w) − w), the value is on the grid to the last bit
        return quantised(weight, self.bits, self.axis) + (weight - weight.detach())


def _axis(model: nn.Module, name: str, scales: Scales) -> int | None:
    return channel_axis(model, name) if scales == "channel" else None


def _check(scales: str) -> None:
    if scales not in get_args(Scales):
        raise InputError(f"quantise has no scales '{scales}'; {suggest(scales, get_args(Scales))}")
