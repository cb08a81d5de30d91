"""Which weights a posterior is over: scores of the entries of θ, and the highest of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

from landscape.core.posterior.sums import DiagonalSums
from landscape.errors import InputError, suggest

__all__ = ["Selection", "choose", "selection_scores"]

Selection = Literal["variance", "magnitude", "curvature", "predictive", "random"]


def selection_scores(
    select: Selection, theta: Tensor, sums: Callable[[], DiagonalSums], prior_precision: float, seed: int = 0
) -> Tensor:
    """A score of each entry of θ (P,), float64; those of the highest are chosen.

    ``variance``: the posterior variance 1/(h + δ) of a diagonal posterior, the published rule. It prefers
    what the data constrain least, which may be what moves no prediction. ``curvature``: h, the diagonal of
    the summed Gauss-Newton matrix. ``predictive``: the variance that an entry alone gives the outputs, its
    posterior variance times its reach. ``magnitude``: |θ|. ``random``: independent uniform numbers.

    Args:
        select: Which score.
        theta: The checkpoint (P,).
        sums: Gives what the data say of each entry; not called for scores that need none of it.
        prior_precision: δ.
        seed: Seed of ``random``.

    Raises:
        InputError: If there is no such score.

    Reference:
        Daxberger et al. (2021), Bayesian deep learning via subnetwork inference, section 5.
    """
    if select not in get_args(Selection):
        raise InputError(f"there is no selection '{select}'; {suggest(str(select), get_args(Selection))}")
    if select == "magnitude":
        return theta.detach().double().abs().cpu()
    if select == "random":
        return torch.rand(len(theta), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found = sums()
    variance = 1.0 / (found.curvature + prior_precision)
    return {"variance": variance, "curvature": found.curvature, "predictive": variance * found.reach}[select]


def choose(scores: Tensor, size: int) -> Tensor:
    """The entries of the highest scores, ascending; of equal scores the first.

    Args:
        scores: (P,).
        size: How many.

    Raises:
        InputError: If there are not so many, or none are asked for.
    """
    if not 1 <= size <= len(scores):
        raise InputError(f"a subnetwork holds 1 to {len(scores)} weights of this model, not {size}.")
    order = torch.argsort(scores, descending=True, stable=True)
    return order[:size].sort().values
