"""The maximum of a posterior: what an average over the posterior is held against."""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from landscape.core.posterior.hamiltonian import Potential
from landscape.core.posterior.prior import GaussianPrior, PriorName
from landscape.core.problem.problem import Problem
from landscape.errors import InputError

__all__ = ["map_estimate", "map_network"]


@torch.no_grad()
def map_estimate(
    problem: Problem, prior: GaussianPrior, *, steps: int = 800, lr: float = 0.03, seed: int | None = None
) -> Tensor:
    """Parameters of most posterior density, as Adam on all data finds them from a draw of the prior.

    Adam runs in whitened coordinates, where narrow directions of the prior are no stiffer than others. It
    starts at a draw of the prior since that is what tells a prior that shrinks from a start that was small:
    weights that no example feels begin with the spread of the prior, and end at 0.

    Args:
        problem: Its loss is −ln p of an example, and it has no weight decay.
        prior: Over the problem's parameters.
        steps: Of Adam.
        lr: Its learning rate in prior standard deviations, at first; a cosine takes it to 0.
        seed: Of the start; by default it follows from the problem's own parameters, so that the members of an
            ensemble start at different draws.

    Returns:
        θ (P,), of the problem's dtype.

    Raises:
        InputError: If there is no step, the problem does not suit (see
            `landscape.core.posterior.hamiltonian.Potential`), or the descent diverges.
    """
    if steps < 1:
        raise InputError(f"map_estimate: steps must be at least 1, not {steps}.")
    if not 0.0 < lr < math.inf:
        raise InputError(f"map_estimate: lr must be positive and finite, not {lr}.")
    potential = Potential(problem, prior)
    if seed is None:
        content = hashlib.sha256(problem.theta.cpu().contiguous().numpy().tobytes()).digest()
        seed = int.from_bytes(content[:7], "big")
    generator = torch.Generator().manual_seed(seed)
    v = torch.randn(problem.size, generator=generator, dtype=torch.float64).to(problem.device)
    # a long memory of how large gradients were at first would keep Adam from what they have shrunk to
    adam = torch.optim.Adam([v], lr=lr, betas=(0.9, 0.99))
    for number in range(steps):
        adam.param_groups[0]["lr"] = 0.5 * lr * (1.0 + math.cos(math.pi * number / steps))
        v.grad = potential.gradient(v) / problem.examples
        adam.step()
    if not math.isfinite(potential.at(v).value):
        raise InputError(f"map_estimate diverged; lower its learning rate {lr:g}.")
    return potential.theta(v)


def map_network(
    model: nn.Module,
    data: tuple[Tensor, Tensor],
    *,
    variance: float,
    prior: PriorName = "isotropic",
    prior_options: Mapping[str, Any] | None = None,
    batch_size: int = 1024,
    **options: Any,
) -> nn.Module:
    """A copy of a network at the maximum of its posterior: what a recipe does ``after`` its training.

    Args:
        model: The network, with logits (N, C), or a `GaussianHead` of a regression; its weights decide no
            more than where the descent starts.
        data: Training inputs (N, ...) and targets; floating targets are those of a regression.
        variance: Prior variance of a parameter.
        prior: ``isotropic``, or ``empirical_covariance`` of the inputs for the weights of the first layer.
        prior_options: Others of `landscape.core.posterior.prior.GaussianPrior.empirical_covariance`.
        batch_size: Examples at a time.
        **options: Others of `map_estimate`.

    Raises:
        InputError: As `map_estimate` and the prior.
    """
    loss = "gaussian_nll" if data[1].is_floating_point() else "cross_entropy"
    problem = Problem(model, loss, data, parameters="*", batch_size=batch_size)
    whole = GaussianPrior.named(prior, problem.space, data[0], variance, prior_options)
    theta = map_estimate(problem, whole, **options)
    made = copy.deepcopy(model)
    nn.utils.vector_to_parameters(theta, made.parameters())
    return made
