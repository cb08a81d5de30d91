"""What a subset of the weights keeps of a posterior: curvature, evidence, predictive variance."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from landscape.core.posterior.jacobians import data_jacobians
from landscape.core.posterior.likelihood import Likelihood
from landscape.core.posterior.sums import DiagonalSums
from landscape.core.problem.problem import Problem
from landscape.errors import InputError

__all__ = ["Kept", "PosteriorRows"]

MOST_BYTES = 2**31
"""Of the Jacobian of all the data."""


@dataclass(frozen=True)
class Kept:
    """The posterior over some entries of θ, all others fixed.

    Attributes:
        log_determinant: ln det(I + H_SS/δ), in nats.
        variance: Of the outputs of each example, the diagonal of JΣJᵀ (N, C), float64; by group of inputs.
    """

    log_determinant: float
    variance: dict[str, Tensor]


class PosteriorRows:
    """The Jacobian of all examples at once, of which every subset's posterior follows exactly.

    With A the rows Λ^½J of all examples, H = AᵀA, and of any subset (δI + A_SᵀA_S)⁻¹ is, by Woodbury, an
    inverse of the size of the data where that is smaller: N · C, whatever the number of weights.

    Args:
        problem: A problem of few examples.
        likelihood: Its likelihood.
        others: Problems of the same model on other inputs, by name.

    Raises:
        InputError: If the Jacobian does not fit into memory.

    Reference:
        Immer et al. (2021), Improving predictions of Bayesian neural nets via local linearization, section 3.
    """

    def __init__(self, problem: Problem, likelihood: Likelihood, others: dict[str, Problem]) -> None:
        with torch.no_grad():
            output, _ = problem.output(problem.first)
        examples = problem.examples + sum(other.examples for other in others.values())
        needed = examples * output.shape[1] * problem.size * output.element_size()
        if needed > MOST_BYTES:
            most = MOST_BYTES * examples // needed
            raise InputError(
                f"the Jacobian of {examples} examples, {output.shape[1]} outputs and {problem.size} weights"
                f" takes {needed / 2**30:.1f} GiB; take {most} examples or fewer."
            )
        self.outputs: dict[str, Tensor] = {}
        self.jacobians: dict[str, Tensor] = {}
        for name, one in {"data": problem, **others}.items():
            parts = list(data_jacobians(one))
            self.outputs[name] = torch.cat([f for f, _ in parts]).double().cpu()
            self.jacobians[name] = torch.cat([J for _, J in parts]).cpu()
        roots = likelihood.roots(self.outputs["data"]).to(self.jacobians["data"])
        self.rows = (roots.mT @ self.jacobians["data"]).flatten(0, 1)

    @cached_property
    def sums(self) -> DiagonalSums:
        """What the data say of each entry."""
        reach = self.jacobians["data"].square().sum(1, dtype=torch.float64).mean(0)
        return DiagonalSums(self.rows.square().sum(0, dtype=torch.float64), reach)

    def kept(self, index: Tensor | None, prior_precision: float) -> Kept:
        """The posterior over some entries.

        Args:
            index: The entries; ``None`` for all.
            prior_precision: δ.
        """
        A = (self.rows if index is None else self.rows[:, index]).double()
        in_weights = A.shape[1] <= len(A)
        gram = A.mT @ A if in_weights else A @ A.mT
        factor = torch.linalg.cholesky(gram / prior_precision + torch.eye(len(gram), dtype=gram.dtype))
        variance = {}
        for name, J in self.jacobians.items():
            flat = (J if index is None else J[:, :, index]).double().flatten(0, 1)
            if in_weights:
                left = torch.linalg.solve_triangular(factor, flat.mT, upper=False).square().sum(0)
            else:
                seen = torch.linalg.solve_triangular(factor, A @ flat.mT, upper=False)
                left = (flat.square().sum(1) - seen.square().sum(0) / prior_precision).clamp(min=0.0)
            variance[name] = (left / prior_precision).view(J.shape[:2])
        return Kept(2.0 * float(factor.diagonal().log().sum()), variance)

    def diagonal(self, prior_precision: float) -> dict[str, Tensor]:
        """Variances of the outputs (N, C) by a posterior of independent entries, by group of inputs.

        Args:
            prior_precision: δ.
        """
        variance = (1.0 / (self.sums.curvature + prior_precision)).to(self.rows)
        return {name: (J.square() @ variance).double() for name, J in self.jacobians.items()}

    def eigenvalues(self) -> Tensor:
        """Those of H that are not zero for want of data, at most N · C, float64."""
        A = self.rows.double()
        values: Tensor = torch.linalg.eigvalsh(A @ A.mT if len(A) <= A.shape[1] else A.mT @ A)
        return values
