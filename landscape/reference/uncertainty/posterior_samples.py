"""Posterior samples: one architecture at many points of its parameter space."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from landscape.core.behaviour.predictive import Draws, Kind, Predictive, joined, predictive_of
from landscape.core.problem.parameters import ParameterSpace
from landscape.errors import InputError

__all__ = ["PosteriorSamples", "posterior_samples"]


class PosteriorSamples(Predictive):
    """A network averaged over stored points of its parameter space: a chain, a trajectory, a fit's draws.

    Buffers, such as running statistics of BatchNorm, are those of the model at every point.

    Args:
        model: A classifier, or a network trained on ``gaussian_nll``, or a predictive of one draw.
        thetas: Parameters (S, P): row by row all of ``model.parameters()``, flattened, in order.
        kind: What a model predicts that is no predictive: ``classification`` or ``regression``.

    Raises:
        InputError: If there is no row, rows do not hold as many numbers as the model has parameters, or there
            is no such kind.
    """

    thetas: Tensor

    def __init__(self, model: nn.Module, thetas: Tensor, kind: Kind = "classification") -> None:
        super().__init__()
        self._space = ParameterSpace.of(dict(model.named_parameters()))
        if thetas.ndim != 2 or not len(thetas) or thetas.shape[1] != self._space.size:
            raise InputError(
                f"posterior samples of {type(model).__name__} are rows of its {self._space.size} parameters;"
                f" got shape {tuple(thetas.shape)}."
            )
        self.model = model
        self.kind: Kind = kind
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


def posterior_samples(members: Sequence[nn.Module], kind: Kind = "classification") -> PosteriorSamples:
    """The predictive of a manifest whose members are points of one chain or trajectory.

    Unlike the members of an ensemble they are one network: buffers have to be those of every point.

    Args:
        members: Models of one architecture, in the order of the chain.
        kind: What members predict that are no predictives: ``classification`` or ``regression``.

    Raises:
        InputError: If their parameters or buffers are not those of one network.

    Example:
        >>> chain = posterior_samples([nn.Linear(2, 3) for _ in range(4)])
        >>> chain.thetas.shape
        torch.Size([4, 9])
    """
    first, *others = members
    shapes = {name: p.shape for name, p in first.named_parameters()}
    buffers = dict(first.named_buffers())
    for place, member in enumerate(others, start=2):
        if {name: p.shape for name, p in member.named_parameters()} != shapes:
            raise InputError(
                f"posterior samples are points of one parameter space; member {place} has other parameters"
                " than member 1."
            )
        own = dict(member.named_buffers())
        if own.keys() != buffers.keys() or not all(torch.equal(own[name], buffers[name]) for name in own):
            raise InputError(
                "posterior samples share their buffers, such as statistics of BatchNorm; those of member"
                f" {place} are not those of member 1: take DeepEnsemble, in which each member keeps its own."
            )
    thetas = [torch.cat([p.detach().reshape(-1) for p in member.parameters()]) for member in members]
    return PosteriorSamples(first, torch.stack(thetas), kind)
