"""Sums over the data that Laplace approximations are made of: Σ JᵀΛJ on some entries of θ, its diagonal."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from landscape.core.data.batches import Batch
from landscape.core.posterior.head import HeadJacobian
from landscape.core.posterior.jacobians import data_jacobians
from landscape.core.posterior.likelihood import Likelihood
from landscape.core.problem.problem import Problem
from landscape.errors import InputError

__all__ = ["LARGEST", "DiagonalSums", "check_entries", "diagonal_sums", "summed_block", "summed_head"]

LARGEST = 10_000
"""Entries of which a full matrix is made: 800 MB in float64."""


@dataclass(frozen=True)
class DiagonalSums:
    """Per entry of θ, what the data say.

    Attributes:
        curvature: Diagonal of the summed Gauss-Newton matrix Σ JᵀΛJ of −ln p(D | θ) (P,), float64.
        reach: Mean over examples of Σ_c J_ci², how far an entry moves the outputs (P,), float64; exactly 0
            of an entry that no example feels.
    """

    curvature: Tensor
    reach: Tensor


def diagonal_sums(problem: Problem, likelihood: Likelihood) -> DiagonalSums:
    """The diagonal of the summed Gauss-Newton matrix, and the reach of each entry, of all θ.

    Args:
        problem: The problem.
        likelihood: Its likelihood.
    """
    curvature = torch.zeros(problem.size, dtype=torch.float64)
    reach = torch.zeros(problem.size, dtype=torch.float64)
    for outputs, J in data_jacobians(problem):
        rows = likelihood.roots(outputs).mT @ J
        curvature += rows.square().sum((0, 1), dtype=torch.float64).cpu()
        reach += J.square().sum((0, 1), dtype=torch.float64).cpu()
    return DiagonalSums(curvature, reach / problem.examples)


def summed_block(problem: Problem, likelihood: Likelihood, index: Tensor | None = None) -> Tensor:
    """The summed Gauss-Newton matrix Σ JᵀΛJ on some entries of θ, (S, S), float64.

    Args:
        problem: The problem.
        likelihood: Its likelihood.
        index: The entries, ascending; ``None`` for all.

    Raises:
        InputError: If there are too many entries for a matrix.
    """
    entries = problem.size if index is None else len(index)
    check_entries(entries)
    total = torch.zeros(entries, entries, dtype=torch.float64)
    for outputs, J in data_jacobians(problem, index):
        rows = (likelihood.roots(outputs).mT @ J).double().flatten(0, 1).cpu()
        total.addmm_(rows.mT, rows)
    return total


def _output(problem: Problem, batch: Batch) -> Tensor:
    output: Tensor = problem.output(batch)[0]
    return output


def check_entries(entries: int) -> None:
    """Refuse more entries than a full matrix is made of.

    Raises:
        InputError: If there are more.
    """
    if entries > LARGEST:
        raise InputError(
            f"a full covariance of {entries} weights takes {8 * entries**2 / 2**30:.0f} GiB; take"
            f" structure='subnetwork' with size up to {LARGEST}, 'low_rank' or 'diagonal'."
        )


def summed_head(problem: Problem, likelihood: Likelihood, head: HeadJacobian) -> Tensor:
    """The summed Gauss-Newton matrix Σ Λ ⊗ φφᵀ of the head, (S, S), float64, without a backward pass.

    Args:
        problem: The problem.
        likelihood: Its likelihood.
        head: Its head.

    Raises:
        InputError: If the head has too many entries for a matrix.
    """
    total: Tensor | None = None
    with torch.no_grad():
        for batch in problem.batches:
            outputs, J = head.of(partial(_output, problem, batch))
            check_entries(J.shape[-1])
            rows = (likelihood.roots(outputs).mT @ J).double().flatten(0, 1).cpu()
            total = rows.mT @ rows if total is None else total.addmm_(rows.mT, rows)
    assert total is not None
    return total
