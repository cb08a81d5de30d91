"""Temperature scaling: the logits of every draw divided by one number found on held-out data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor, nn

from landscape.core.behaviour.calibration import Predictions, optimal_temperature
from landscape.core.behaviour.predictive import Draws, Mixture, Predictive, predictive_of
from landscape.errors import InputError

__all__ = ["TemperatureScaled", "fit", "temperature_scaled"]

LIMITS = (1e-3, 1e3)
"""Temperatures beyond these stand for 0 and infinity, where the logits would be no numbers."""


class TemperatureScaled(Predictive):
    """A predictive whose draws are p_s^(1/T), normalised anew.

    T above 1 makes it less confident, T below 1 more. The order of the classes of a draw stays; that of a
    mixture of several draws may change.

    Args:
        model: A predictive or a classifier.
        temperature: T.

    Raises:
        InputError: If T is not positive and finite.

    Reference:
        Guo et al. (2017), On calibration of modern neural networks, section 4.2.
    """

    temperature: Tensor

    def __init__(self, model: nn.Module, temperature: float = 1.0) -> None:
        super().__init__()
        if not 0.0 < temperature < math.inf:
            raise InputError(f"a temperature is positive and finite; got {temperature}.")
        self.model = model
        # a buffer, so that it is part of the state that results are known by
        self.register_buffer("temperature", torch.tensor(float(temperature), dtype=torch.float32))

    def draws(self, x: Tensor, samples: int | None = None, *, seed: int = 0) -> Draws:
        """The draws of the model within, each at the temperature; a score of its own stays as it is.

        Args:
            x: Inputs (N, ...).
            samples: As the model within takes it.
            seed: As the model within takes it.

        Raises:
            InputError: If the model is one of regression.
        """
        inner = predictive_of(self.model).draws(x, samples, seed=seed)
        if inner.log_p is None:
            raise InputError("a temperature scales probabilities of classes; this is a regression.")
        scaled = (inner.log_p / self.temperature.to(inner.log_p)).log_softmax(-1)
        return replace(inner, log_p=scaled)


@torch.no_grad()
def fit(model: nn.Module, data: tuple[Tensor, Tensor], *, batch: int = 500) -> TemperatureScaled:
    """The model at the temperature of least mean negative log-likelihood of its mixture.

    Of one draw the optimum is unique; of several it is the best between 1/1000 and 1000, found by a bounded
    search from the scale of the logarithm.

    Args:
        model: A predictive or a classifier; put into eval mode.
        data: Inputs (N, ...) and classes (N,) that the model has not been trained on.
        batch: Examples at a time.

    Raises:
        InputError: If there are no examples, or the model is one of regression.

    Reference:
        Guo et al. (2017), On calibration of modern neural networks, section 4.2.
    """
    x, y = data
    if not len(x):
        raise InputError("a temperature is found on held-out examples; there are none.")
    model.eval()
    parts = [predictive_of(model).draws(part) for part in torch.split(x, batch)]
    if parts[0].log_p is None:
        raise InputError("a temperature scales probabilities of classes; this is a regression.")
    log_p = torch.cat([part.log_p for part in parts if part.log_p is not None], dim=1).double()
    if len(log_p) == 1:
        predictions = Predictions(log_p[0].cpu().numpy(), y.cpu().numpy())
        temperature = float(optimal_temperature(predictions))
        low, high = LIMITS
        return TemperatureScaled(model, min(max(temperature, low), high))

    def loss(log_temperature: float) -> float:
        scaled = (log_p / math.exp(log_temperature)).log_softmax(-1)
        mixture = Draws("classification", log_p=scaled, weights=parts[0].weights).mixture()
        assert isinstance(mixture, Tensor)
        return -float(mixture.gather(1, y[:, None].to(mixture.device)).mean())

    bounds = math.log(LIMITS[0]), math.log(LIMITS[1])
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-8})
    return TemperatureScaled(model, math.exp(float(found.x)))


def temperature_scaled(members: Sequence[nn.Module], fit_data: tuple[Tensor, Tensor]) -> TemperatureScaled:
    """The predictive of a manifest: of one model, or of the mixture of several, with one temperature.

    Args:
        members: Predictives or classifiers.
        fit_data: Held-out inputs and classes.

    Raises:
        InputError: As `fit`.
    """
    return fit(members[0] if len(members) == 1 else Mixture(members), fit_data)
