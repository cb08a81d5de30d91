"""Influence functions: what a training example does to a loss elsewhere, to first order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landscape.core.ambient import under_own_context
from landscape.core.curvature.double_backward import twice_differentiable, unread_gradient
from landscape.core.curvature.operator import ggn, hessian
from landscape.core.linalg.operators import SymmetricOperator
from landscape.core.linalg.reductions import length
from landscape.core.linalg.solve import Solution, solve
from landscape.core.problem.problem import Problem
from landscape.errors import InputError

__all__ = ["Influence", "influence"]


@dataclass(frozen=True)
class Influence:
    """−∇ℓᵀ (A + αI)⁻¹ ∇ℓₙ by training example.

    Attributes:
        scores: The derivative of the test loss in the weight of example n, (N,), in the order of the data: a
            negative one helps. Without the example the test loss changes by about −score/N.
        bounds: Largest possible errors of the scores from the unfinished solution (N,); NaN where the
            matrix is indefinite, or α = 0.
        solution: How the linear system ended; its x is (A + αI)⁻¹ ∇ℓ.
        damping: α.
    """

    scores: NDArray[np.float64]
    bounds: NDArray[np.float64]
    solution: Solution
    damping: float


@under_own_context
def influence(
    problem: Problem,
    test: Problem | Tensor,
    *,
    damping: float,
    operator: Literal["ggn", "hessian"] = "ggn",
    preconditioner: SymmetricOperator | None = None,
    tol: float = 1e-6,
    max_iterations: int | None = None,
    on_progress: Callable[[float], None] = lambda fraction: None,
) -> Influence:
    """What weighing a training example more does to a loss on other data (Koh & Liang 2017).

    One linear system, by conjugate gradients for the Gauss-Newton matrix and MINRES for the Hessian, weight
    decay in either; then one pass over the training data for all products ∇ℓₙᵀx, and one backward pass by
    example for the bounds. First order: for least squares, leaving an example out moves its own residual by
    1/(1 − h) times as much, h its leverage.

    Args:
        problem: The training data, on one rank.
        test: The data on whose mean loss the influence is, as a problem of the same model; or the gradient
            (P,) of any other quantity.
        damping: α ≥ 0; of the Hessian it should exceed ``|λ_min|``.
        operator: A.
        preconditioner: As of `solve`.
        tol: As of `solve`.
        max_iterations: As of `solve`.
        on_progress: As of `solve`.

    Raises:
        InputError: If the models differ, the loss gives batch means, or as `solve`.

    Example:
        >>> model = torch.nn.Linear(1, 1, bias=False)
        >>> _ = torch.nn.init.ones_(model.weight)
        >>> data = torch.tensor([[1.0], [1.0]]), torch.tensor([[0.0], [2.0]])
        >>> problem = Problem(model, "half_squared_error", data)
        >>> influence(problem, torch.ones(1), damping=0.0).scores.tolist()
        [-1.0, 1.0]
    """
    if operator not in ("ggn", "hessian"):
        raise InputError(f"there is no operator '{operator}' of influence; known: ggn, hessian.")
    direction = _direction(problem, test)
    make = ggn if operator == "ggn" else hessian
    method: Literal["cg", "minres"] = "cg" if operator == "ggn" else "minres"
    with make(problem) as matrix:
        found = solve(
            matrix,
            direction,
            damping=damping,
            method=method,
            preconditioner=preconditioner,
            tol=tol,
            max_iterations=max_iterations,
            on_progress=on_progress,
        )
    scores, sizes = [], []
    for batch in problem.batches:
        with torch.enable_grad(), twice_differentiable(adjoint=True):
            losses = problem.batch_losses(batch)
            if losses.ndim == 0:
                raise InputError(
                    f"the loss {problem.loss_name} returns a batch mean; influence needs one loss per"
                    " example, shape (B,)."
                )
            dual = torch.zeros_like(losses, requires_grad=True)
            slopes = unread_gradient(losses, problem.parameters, dual)
            pieces = problem.space.unflatten(found.x.to(problem.theta)).values()
            along = [(s, p) for s, p in zip(slopes, pieces, strict=True) if s is not None and s.requires_grad]
            (moved,) = torch.autograd.grad(
                [s for s, _ in along], dual, [p for _, p in along], retain_graph=True
            )
        scores.append(-moved.detach().double().cpu().numpy())
        for n in range(batch.size):
            own = torch.autograd.grad(losses[n], problem.parameters, retain_graph=True, allow_unused=True)
            sizes.append(length(problem.flatten_grads(own)))
    return Influence(np.concatenate(scores), found.error * np.array(sizes), found, damping)


def _direction(problem: Problem, test: Problem | Tensor) -> Tensor:
    """The gradient of the test loss, without weight decay."""
    if isinstance(test, Tensor):
        return test
    if not isinstance(test, Problem) or test.space.names != problem.space.names:
        raise InputError("test must be a problem of the same model and parameters, or a gradient (P,).")
    if not torch.equal(test.theta, problem.theta):
        raise InputError("test must be a problem of the same model; its parameters have other values.")
    return test.gradient() - test.weight_decay * test.theta
