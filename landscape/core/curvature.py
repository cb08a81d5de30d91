"""Curvature of a problem as symmetric operators: Hessian and generalised Gauss-Newton."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from landscape.core.operators import SymmetricOperator
from landscape.core.problem import Problem
from landscape.errors import InputError

__all__ = ["GaussNewton", "Hessian", "ggn", "hessian"]


class _PlainWeightNorm(TorchFunctionMode):
    """Weight normalisation v g/‖v‖ by its formula: torch's kernel has a wrong second derivative."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch._weight_norm:
            return _weight_norm(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    return v * (g / torch.norm_except_dim(v, 2, dim))


@contextmanager
def _twice_differentiable() -> Iterator[None]:
    """Within it, gradients are on and kernels have right second derivatives; fused attention has none."""
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH), _PlainWeightNorm():
        yield


class Hessian(SymmetricOperator):
    """∇²L of a problem, by double backward (Pearlmutter 1994), weight decay included.

    Per micro-batch the graph of the gradient is built once and reused for all vectors of a block, so a
    block of k vectors costs much less than k single products.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.size, problem.dtype, problem.device)
        self.problem = problem

    def _apply(self, V: Tensor) -> Tensor:
        problem = self.problem
        total = torch.zeros_like(V)
        pieces = [list(problem.space.unflatten(v).values()) for v in V.unbind(1)]
        with _twice_differentiable():
            for batch in problem.batches:
                grads = problem.batch_gradients(batch, create_graph=True)
                live = {i: g for i, g in enumerate(grads) if g is not None and g.requires_grad}
                for column, piece in enumerate(pieces):
                    if not live:
                        break  # the gradient does not depend on θ
                    rows = torch.autograd.grad(
                        list(live.values()),
                        problem.parameters,
                        grad_outputs=[piece[i] for i in live],
                        retain_graph=column + 1 < len(pieces),
                        allow_unused=True,
                    )
                    total[:, column] += problem.flatten_grads(rows)
        return _finish(total, V, problem)


class GaussNewton(SymmetricOperator):
    """The generalised Gauss-Newton matrix (1/N) Σ JᵀHᵢJ + λI (Schraudolph 2002; Martens 2020).

    J is the Jacobian of the model output and Hᵢ the Hessian of the loss in the outputs. Positive
    semi-definite for convex losses; equal to the Hessian for models linear in θ.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.size, problem.dtype, problem.device)
        self.problem = problem

    def _apply(self, V: Tensor) -> Tensor:
        problem = self.problem
        total = torch.zeros_like(V)
        pieces = [list(problem.space.unflatten(v).values()) for v in V.unbind(1)]
        with _twice_differentiable():
            for batch in problem.batches:
                output, target = problem.output(batch)
                if not torch.is_tensor(output):
                    raise InputError(
                        "Gauss-Newton needs a model (or forward=) that returns one tensor; got"
                        f" {type(output).__name__}."
                    )
                if not output.requires_grad:
                    continue  # the output does not depend on θ
                leaf = output.detach().requires_grad_()
                (slope,) = torch.autograd.grad(
                    problem.loss_sum(leaf, target, batch.size), leaf, create_graph=True
                )
                if not slope.requires_grad:
                    continue  # a loss linear in the outputs has no curvature
                dual = torch.zeros_like(output, requires_grad=True)
                adjoint = torch.autograd.grad(
                    output, problem.parameters, dual, create_graph=True, allow_unused=True
                )
                live = [i for i, g in enumerate(adjoint) if g is not None]
                for column, piece in enumerate(pieces):
                    (tangent,) = torch.autograd.grad(
                        [adjoint[i] for i in live],
                        dual,
                        [piece[i] for i in live],
                        retain_graph=True,
                    )
                    (curved,) = torch.autograd.grad(slope, leaf, tangent, retain_graph=True)
                    rows = torch.autograd.grad(
                        output, problem.parameters, curved, retain_graph=True, allow_unused=True
                    )
                    total[:, column] += problem.flatten_grads(rows)
        return _finish(total, V, problem)


def _finish(total: Tensor, V: Tensor, problem: Problem) -> Tensor:
    """Divide the sum over examples by N and add the weight-decay term."""
    total /= problem.examples
    return total.add_(V, alpha=problem.weight_decay) if problem.weight_decay else total


def hessian(problem: Problem) -> Hessian:
    """The Hessian operator of a problem, size P: ``hessian(problem) @ v``."""
    return Hessian(problem)


def ggn(problem: Problem) -> GaussNewton:
    """The generalised Gauss-Newton operator of a problem, size P: ``ggn(problem) @ v``."""
    return GaussNewton(problem)
