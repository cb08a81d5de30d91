"""Fisher-weighted averages: each weight by how sharply each model's predictions depend on it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from landscape.core.curvature.kfac.eigen_blocks import KroneckerOperator
from landscape.core.curvature.kfac.factors import diagonal_ggn
from landscape.core.curvature.kfac.loss_roots import Roots
from landscape.core.merging.states import Weights
from landscape.core.problem.problem import Problem

__all__ = ["diagonal_fisher", "fisher_mean"]


def diagonal_fisher(
    problem: Problem, *, roots: Roots = "exact", samples: int = 1, seed: int = 0
) -> dict[str, Tensor]:
    """The diagonal of a problem's Fisher matrix by parameter, shaped as the parameters, without λ.

    It is that of the Gauss-Newton matrix, which of a loss that is a negative log-likelihood is the Fisher
    matrix, the expectation over the model's own answers taken exactly.

    Args:
        problem: At the point that its model holds.
        roots: ``exact``, one backward pass for each output; ``mc``, from drawn answers; ``empirical``, from
            the data's own.
        samples: Draws of each example, of ``mc``.
        seed: Their seed.

    Raises:
        InputError: As `landscape.diagonal_ggn`.
    """
    found = diagonal_ggn(problem, roots=roots, samples=samples, seed=seed)
    bare = KroneckerOperator(problem.space, found.layers, 0.0)
    ones = torch.ones(problem.size, dtype=problem.dtype, device=problem.device)
    return {name: tensor.double() for name, tensor in problem.space.unflatten(bare @ ones).items()}


@torch.no_grad()
def fisher_mean(states: Sequence[Weights], fishers: Sequence[Weights]) -> tuple[dict[str, Tensor], int]:
    """The average Σᵢ Fᵢ θᵢ / Σᵢ Fᵢ by entry, and in how many entries it is the plain mean.

    It is so where no model's predictions depend on the entry (all Fᵢ are zero), and in tensors that have no
    Fisher matrix.

    Args:
        states: The models.
        fishers: Diagonals of the Fisher matrices by name, for some or all of the tensors.

    Reference:
        Matena & Raffel (2022), Merging models with Fisher-weighted averaging, equation 3.

    Example:
        >>> states = [{"w": torch.tensor([v, v])} for v in (1.0, 4.0)]
        >>> fishers = [{"w": torch.tensor([v, 0.0])} for v in (1.0, 2.0)]
        >>> merged, plain = fisher_mean(states, fishers)
        >>> merged["w"].tolist(), plain
        ([3.0, 2.5], 1)
    """
    merged, plain = {}, 0
    for name, first in states[0].items():
        values = torch.stack([state[name].double() for state in states])
        mean = values.mean(0)
        if name not in fishers[0]:
            merged[name] = mean.to(first.dtype)
            plain += first.numel()
            continue
        weights = torch.stack([fisher[name].double().to(values.device) for fisher in fishers])
        total = weights.sum(0)
        known = total > 0
        plain += int((~known).sum())
        weighted = (weights * values).sum(0) / total.where(known, 1.0)
        merged[name] = weighted.where(known, mean).to(first.dtype)
    return merged, plain
