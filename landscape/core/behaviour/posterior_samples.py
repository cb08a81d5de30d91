"""Posterior samples: one architecture at many points of its parameter space."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from landscape.core.behaviour.predictive import Draws, Kind, Predictive, joined, predictive_of
from landscape.core.problem.parameters import ParameterSpace
from landscape.core.stats.r_hat import split_r_hat
from landscape.errors import InputError

__all__ = ["PosteriorSamples"]


class PosteriorSamples(Predictive):
    """A network averaged over stored points of its parameter space: a chain, a trajectory, a fit's draws.

    Buffers, such as running statistics of BatchNorm, are those of the model at every point.

    Args:
        model: A classifier, or a network trained on ``gaussian_nll``, or a predictive of one draw.
        thetas: Parameters (S, P): row by row all of ``model.parameters()``, flattened, in order.
        kind: What a model predicts that is no predictive: ``classification`` or ``regression``.
        chains: How many chains they are of, one after the other, all of one length.

    Raises:
        InputError: If there is no row, rows do not hold as many numbers as the model has parameters, they do
            not make so many chains, or there is no such kind.
    """

    thetas: Tensor

    def __init__(
        self, model: nn.Module, thetas: Tensor, kind: Kind = "classification", chains: int = 1
    ) -> None:
        super().__init__()
        self._space = ParameterSpace.of(dict(model.named_parameters()))
        if thetas.ndim != 2 or not len(thetas) or thetas.shape[1] != self._space.size:
            raise InputError(
                f"posterior samples of {type(model).__name__} are rows of its {self._space.size} parameters;"
                f" got shape {tuple(thetas.shape)}."
            )
        if chains < 1 or len(thetas) % chains:
            raise InputError(
                f"{len(thetas)} posterior samples are not those of {chains} chains of one length."
            )
        self.model = model
        self.kind: Kind = kind
        self.chains = chains
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
        one = predictive_of(self.model, self.kind)
        prefix = "" if one is self.model else "model."
        passes: list[Draws] = []
        for point in points:
            with one.heard(seed=seed) as heard:
                functional_call(one, {f"{prefix}{name}": value for name, value in point.items()}, (x,))
            passes += heard
        return joined(passes)

    @torch.no_grad()
    def r_hat(self, x: Tensor) -> NDArray[np.float64]:
        """R̂ of each predicted number over the chains, each cut in half; near 1 where they have mixed.

        Weights themselves need not have mixed for it: hidden units may be permuted without any change of
        predictions.

        Args:
            x: Inputs (N, ...).

        Returns:
            (N, C), of probabilities of classes; (N, D), of means of a regression.

        Raises:
            InputError: If a chain has fewer than four samples.
        """
        found = self.draws(x)
        values = found.mean if found.log_p is None else found.log_p.exp()
        assert values is not None
        return split_r_hat(values.cpu().double().view(self.chains, -1, *values.shape[1:]).numpy())
