"""Curvature of a problem as symmetric operators: Hessian and Gauss-Newton matrix."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

import torch
from torch import Tensor

from landscape.core.ambient import under_own_context
from landscape.core.curvature.blocks import BlockDiagonal, DiagonalBlock, block_diagonal, diagonal_blocks
from landscape.core.curvature.checks import check_hessian, check_jacobian, check_loss_curvature
from landscape.core.curvature.double_backward import twice_differentiable, unread_gradient
from landscape.core.curvature.graph_cache import GraphCache
from landscape.core.data.batches import Batch
from landscape.core.linalg.operators import SymmetricOperator
from landscape.core.problem.derivatives.gradient import check_gradient
from landscape.core.problem.derivatives.record import Check
from landscape.core.problem.losses import gaussian_fisher
from landscape.core.problem.parameters import Grouping
from landscape.core.problem.problem import Problem
from landscape.errors import InputError

__all__ = [
    "CurvatureOperator",
    "GaussNewton",
    "Hessian",
    "Sandwich",
    "ggn",
    "hessian",
]

Rows = Sequence[Tensor | None]
"""A product by parameter; ``None`` for zero."""


class Graph(Protocol):
    """What a curvature matrix needs of one micro-batch to multiply any number of vectors."""

    def multiply(self, members: Sequence[int], tangents: Sequence[Tensor], retain: bool) -> Rows:
        """The diagonal block of some parameters times a vector, summed over the examples.

        Args:
            members: Positions of the parameters.
            tangents: The vector, by parameter.
            retain: Whether the graph will be used again.
        """


class CurvatureOperator(SymmetricOperator):
    """A second-order matrix of the risk at the point the problem stands at, weight decay λI included.

    A block (n, k) is multiplied micro-batch by micro-batch: the graph of the derivative is built once and
    reused for all k vectors. From the second product on, the graphs themselves are kept if they fit
    ``memory_budget``; otherwise they are built again each time (plain double backward). What decides is a
    count of bytes, never a clock, and either way gives the same bits. Kept graphs go with the operator, at
    `release`, at the end of a ``with`` block, or when the problem's parameters change.

    Args:
        problem: The problem.
        memory_budget: Bytes that graphs may take between products; 0 keeps none, ``None`` allows half of
            the free memory times this process's share of the processors.

    Attributes:
        problem: The problem.
    """

    def __init__(self, problem: Problem, *, memory_budget: int | None = None) -> None:
        if not isinstance(problem, Problem):
            raise InputError(f"a curvature operator is made of a Problem; got a {type(problem).__name__}.")
        super().__init__(problem.size, problem.dtype, problem.device)
        self.problem = problem
        self._graphs: GraphCache[Graph | None] = GraphCache(problem, memory_budget)

    _checks: tuple[Check, ...] = ()
    """Checks of the derivatives that it is made of, beside that of the gradient."""

    @abstractmethod
    def _graph(self, batch: Batch, start: int) -> Graph | None:
        """The graph of a micro-batch, ``start`` examples after the first; ``None`` if it adds nothing."""

    @property
    def keeps_graphs(self) -> bool:
        """Whether graphs are being kept for the next product."""
        return self._graphs.kept

    def release(self) -> None:
        """Drop kept graphs and their memory; the next product builds them again."""
        self._graphs.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _apply(self, V: Tensor) -> Tensor:
        everything = range(len(self.problem.parameters))
        return self.multiply(V, everything, [everything])

    @under_own_context
    def multiply(self, V: Tensor, members: Sequence[int], groups: Sequence[Sequence[int]]) -> Tensor:
        """The product of the matrix's diagonal blocks with a block of vectors.

        Args:
            V: The vectors (n, k), n the entries of all members.
            members: Positions of the parameters that the rows of ``V`` run over, in order.
            groups: A partition of the members; each group is one diagonal block.

        Returns:
            The product (n, k).
        """
        problem = self.problem
        problem.vouch(check_gradient, *self._checks)
        sizes = {i: problem.space.sizes[i] for i in members}
        columns = V.T.contiguous()
        total = torch.zeros_like(columns)

        def pieces(vector: Tensor) -> dict[int, Tensor]:
            parts = torch.split(vector, list(sizes.values()))
            return {i: p.view(problem.space.shapes[i]) for i, p in zip(sizes, parts, strict=True)}

        tangents = [pieces(v) for v in columns.unbind()]
        sums = [pieces(t) for t in total.unbind()]

        def add(graph: Graph | None, kept: bool) -> None:
            if graph is None:
                return
            for column, (tangent, into) in enumerate(zip(tangents, sums, strict=True)):
                for number, group in enumerate(groups):
                    # The last use of a graph that is not kept may free it as it goes.
                    last = column + 1 == len(tangents) and number + 1 == len(groups)
                    rows = graph.multiply(group, [tangent[i] for i in group], kept or not last)
                    for i, row in zip(group, rows, strict=False):
                        if row is not None:
                            into[i].add_(row.detach())

        # Sums of all ranks are added before dividing; the decay term is added once, after that.
        with problem.sharding.summing(total):
            self._graphs.each(self._graph, add)
        total /= problem.examples
        if problem.weight_decay:
            total.add_(columns, alpha=problem.weight_decay)
        return total.T

    def blocks(self, by: Grouping = "module") -> dict[str, DiagonalBlock]:
        """Diagonal blocks as operators, by name: `landscape.core.curvature.blocks.diagonal_blocks`."""
        return diagonal_blocks(self, by)

    def block_diagonal(self, by: Grouping = "module") -> BlockDiagonal:
        """Zeros outside the diagonal blocks: `landscape.core.curvature.blocks.block_diagonal`."""
        return block_diagonal(self, by)


# Hessian


@dataclass(frozen=True)
class _HessianGraph:
    """The gradient by parameter, as functions of the parameters; its entries are nobody's."""

    parameters: Sequence[Tensor]
    gradients: Rows

    def multiply(self, members: Sequence[int], tangents: Sequence[Tensor], retain: bool) -> Rows:
        outputs, vectors = _live([self.gradients[i] for i in members], tangents)
        if not outputs:
            return ()
        return torch.autograd.grad(
            outputs,
            [self.parameters[i] for i in members],
            vectors,
            retain_graph=retain,
            allow_unused=True,
        )


def _live(outputs: Rows, vectors: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Those outputs that can be differentiated, and their vectors."""
    pairs = [(o, v) for o, v in zip(outputs, vectors, strict=True) if o is not None and o.requires_grad]
    return [o for o, _ in pairs], [v for _, v in pairs]


class Hessian(CurvatureOperator):
    """∇²L of a problem, by double backward (Pearlmutter 1994), weight decay included."""

    _checks: tuple[Check, ...] = (check_hessian,)

    def _graph(self, batch: Batch, start: int) -> Graph | None:
        with twice_differentiable():
            gradients = self.problem.batch_gradients(batch, derive=unread_gradient)
        if not any(g is not None and g.requires_grad for g in gradients):
            return None  # the gradient does not depend on θ
        return _HessianGraph(self.problem.parameters, gradients)


# Matrices of the form JᵀBJ


@dataclass(frozen=True)
class _SandwichGraph:
    """A function z(θ) and its adjoint u ↦ Jᵀu, linear in u, whose own adjoint is v ↦ Jv."""

    parameters: Sequence[Tensor]
    output: Tensor
    dual: Tensor
    adjoint: Rows
    inner: Callable[[Tensor], Tensor]

    def multiply(self, members: Sequence[int], tangents: Sequence[Tensor], retain: bool) -> Rows:
        outputs, vectors = _live([self.adjoint[i] for i in members], tangents)
        if not outputs:
            return ()
        # The adjoint's own adjoint at the tangents: Jv, by two backward passes and no forward mode.
        (moved,) = torch.autograd.grad(outputs, self.dual, vectors, retain_graph=True)
        return torch.autograd.grad(
            self.output,
            [self.parameters[i] for i in members],
            self.inner(moved),
            retain_graph=retain,
            allow_unused=True,
        )


class Sandwich(CurvatureOperator):
    """(1/N) Σ JᵀBJ + λI for the Jacobian J of an output z(θ) and symmetric matrices B on outputs."""

    _checks: tuple[Check, ...] = (check_jacobian,)

    def _sandwich(self, output: Tensor, inner: Callable[[Tensor], Tensor] | None) -> Graph | None:
        if inner is None or not output.requires_grad:
            return None
        parameters = self.problem.parameters
        # u ↦ Jᵀu is linear, so that its derivative is the same at any u: zero will do.
        dual = torch.zeros_like(output, requires_grad=True)
        adjoint = unread_gradient(output, parameters, dual)
        return _SandwichGraph(parameters, output, dual, adjoint, inner)


class GaussNewton(Sandwich):
    """The generalised Gauss-Newton matrix (1/N) Σ JᵀHᵢJ + λI (Schraudolph 2002; Martens 2020).

    J is the Jacobian of the model output and Hᵢ the Hessian of the loss in the outputs. Positive
    semi-definite for convex losses; equal to the Hessian for models linear in θ. Of ``"gaussian_nll"``, which
    is not convex in the variance, the natural parameters of the Gaussian pass for the outputs: it is the
    Fisher matrix.
    """

    _title = "Gauss-Newton"
    _checks: tuple[Check, ...] = (check_jacobian, check_loss_curvature)

    def _graph(self, batch: Batch, start: int) -> Graph | None:
        with twice_differentiable(adjoint=True):
            output, target = self.problem.output(batch)
            if not torch.is_tensor(output):
                raise InputError(
                    f"{self._title} needs a model (or forward=) that returns one tensor; got"
                    f" {type(output).__name__}."
                )
            return self._sandwich(output, self.inner(output.detach(), target, batch, start))

    def inner(
        self, output: Tensor, target: Tensor, batch: Batch, start: int
    ) -> Callable[[Tensor], Tensor] | None:
        """The map t ↦ Bt for tangents shaped as the output; ``None`` if B is zero."""
        if self.problem.loss_name == "gaussian_nll":
            return gaussian_fisher(output)
        leaf = output.requires_grad_()
        loss = self.problem.loss_sum(leaf, target, batch.size)
        if not loss.requires_grad:
            return None
        (slope,) = torch.autograd.grad(loss, leaf, create_graph=True)
        if not slope.requires_grad:
            return None  # a loss linear in the outputs has no curvature
        return lambda tangent: torch.autograd.grad(slope, leaf, tangent, retain_graph=True)[0]


def hessian(problem: Problem, *, memory_budget: int | None = None) -> Hessian:
    """The Hessian operator of a problem, size P: ``hessian(problem) @ v``; see `CurvatureOperator`."""
    return Hessian(problem, memory_budget=memory_budget)


def ggn(problem: Problem, *, memory_budget: int | None = None) -> GaussNewton:
    """The generalised Gauss-Newton operator of a problem, size P; see `GaussNewton`."""
    return GaussNewton(problem, memory_budget=memory_budget)
