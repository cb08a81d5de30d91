"""Posterior samples: one architecture at many points of its parameter space."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call

from landscape.core.behaviour.predictive import Draws, Predictive
from landscape.core.problem.parameters import ParameterSpace
from landscape.errors import InputError

__all__ = ["PosteriorSamples"]


class PosteriorSamples(Predictive):
    """A network averaged over stored points of its parameter space: a chain, a trajectory, a fit's draws.

    Buffers, such as running statistics of BatchNorm, are those of the model at every point.

    Args:
        model: A classifier.
        thetas: Parameters (S, P): row by row all of ``model.parameters()``, flattened, in order.

    Raises:
        InputError: If there is no row, or rows do not hold as many numbers as the model has parameters.
    """

    thetas: Tensor

    def __init__(self, model: nn.Module, thetas: Tensor) -> None:
        super().__init__()
        self._space = ParameterSpace.of(dict(model.named_parameters()))
        if thetas.ndim != 2 or not len(thetas) or thetas.shape[1] != self._space.size:
            raise InputError(
                f"posterior samples of {type(model).__name__} are rows of its {self._space.size} parameters;"
                f" got shape {tuple(thetas.shape)}."
            )
        self.model = model
        self.register_buffer("thetas", thetas)

    def draws(self, x: Tensor, samples: int | None = None, *, seed: int = 0) -> Draws:
        """The prediction at each point.

        Args:
            x: Inputs (N, ...).
            samples: How many points, evenly over all of them, since neighbours on a chain are alike; None,
                or more than there are, for all.
            seed: Decides nothing: the points are given.

        Raises:
            InputError: If no sample is asked for.
        """
        stored = len(self.thetas)
        count = stored if samples is None else min(samples, stored)
        if count < 1:
            raise InputError(f"posterior samples are drawn one or more at a time, not {samples}.")
        rows = [(2 * place + 1) * stored // (2 * count) for place in range(count)]
        points = (self._space.unflatten(self.thetas[row]) for row in rows)
        passes = [functional_call(self.model, point, (x,)).log_softmax(-1) for point in points]
        return Draws("classification", log_p=torch.stack(passes))
