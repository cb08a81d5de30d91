"""Progressive sharpening: how fast the largest eigenvalue of the Hessian grows as the loss is descended."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from landscape.core.ambient import under_own_context
from landscape.core.curvature.operator import hessian
from landscape.core.linalg.reductions import norms
from landscape.core.problem.problem import Problem

__all__ = ["EigenvalueGradient", "eigenvalue_gradient"]


@dataclass(frozen=True)
class EigenvalueGradient:
    """How an eigenvalue changes with the parameters.

    Attributes:
        gradient: ∇λ = ∇³L[u, u], (P,).
        coarse: The same by steps twice as long; its distance tells the error of differences.
        step: Length of the steps.
    """

    gradient: Tensor
    coarse: Tensor
    step: float


@under_own_context
def eigenvalue_gradient(problem: Problem, u: Tensor) -> EigenvalueGradient:
    """∇λ = ∇³L[u, u] of a simple eigenvalue λ of the Hessian with unit eigenvector u (P,).

    By central differences of Hessian products, (H(θ + hu)u − H(θ − hu)u)/2h: two products, and two more with
    2h for the error. Third derivatives by autograd would not exist for BatchNorm's batch statistics, and
    would miss what kinks of ReLUs add. h = ε^⅓ · max(‖θ‖, 1)/10, ε of the dtype.

    Reference:
        Damian, Nichani & Lee (2023), Self-stabilization, equation 2: λ grows by −∇L·∇λ per unit of time along
        the gradient flow.
    """
    unit = (u / norms(u)).to(problem.device, problem.dtype)
    step = torch.finfo(problem.dtype).eps ** (1 / 3) * max(float(norms(problem.theta)), 1.0) / 10
    slopes = []
    for h in (step, 2 * step):
        ends = []
        for sign in (1.0, -1.0):
            with problem.at(problem.theta + sign * h * unit), hessian(problem, memory_budget=0) as H:
                ends.append((H @ unit).double())
        slopes.append((ends[0] - ends[1]) / (2 * h))
    return EigenvalueGradient(slopes[0], slopes[1], step)
