"""Gradients of the examples, one by one, and their covariance; all at once only where they are few."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from landscape.core.ambient import under_own_context
from landscape.core.curvature.fisher import empirical_fisher
from landscape.core.linalg.operators import SymmetricOperator
from landscape.core.linalg.reductions import inner_product, products
from landscape.core.problem.derivatives.gradient import check_gradient
from landscape.core.problem.problem import Problem
from landscape.errors import InputError

__all__ = ["KEPT_BYTES", "ExampleGradients", "GradientCovariance"]

KEPT_BYTES = 2**28
"""Up to so many bytes the gradients of all examples are kept; above, they are made anew where needed."""

PIECE_BYTES = 2**25
"""Of the gradients that are made before they are handed on, where they are not kept."""


class ExampleGradients:
    """The gradients gᵢ = ∇ℓᵢ of the loss of each example of a problem, without weight decay.

    Iterating gives them in the order of the data, some examples at a time, as rows (n, P).

    Args:
        problem: The problem; its loss is a mean over examples, and no example's loss depends on another.
        keep: Bytes that all N rows may take to be kept after the first time.

    Attributes:
        problem: The problem.
        kept: Whether all rows are kept once they were made.

    Raises:
        InputError: If BatchNorm takes the statistics of the batch, the loss is no mean over examples, or
            there are fewer than three examples.
    """

    def __init__(self, problem: Problem, *, keep: int = KEPT_BYTES) -> None:
        if problem.batchnorm == "batch":
            raise InputError(
                "gradients of single examples need a model that takes them one by one, but with"
                " batchnorm='batch' each depends on its batch; take batchnorm='checkpoint'."
            )
        problem.criterion.refuse_cuts()
        if problem.examples < 3:
            raise InputError(
                f"the spread of gradients over examples needs at least 3 of them; got {problem.examples}."
            )
        self.problem = problem
        self._row = problem.size * problem.dtype.itemsize
        self.kept = problem.examples * self._row <= keep
        self._rows: list[Tensor] = []

    def __iter__(self) -> Iterator[Tensor]:
        if self._rows:
            yield from self._rows
            return
        made = []
        for rows in self._made():
            if self.kept:
                made.append(rows)
            yield rows
        self._rows = made

    def _made(self) -> Iterator[Tensor]:
        problem = self.problem
        problem.vouch(check_gradient)
        most, rows = max(1, PIECE_BYTES // self._row), []
        for batch in problem.batches:
            for one in batch.split(1):
                if one.size != 1:
                    raise InputError(
                        "the data come in batches that cannot be taken apart into single examples, so that"
                        " their gradients have no spread; give tensors with one entry per example."
                    )
                rows.append(problem.flatten_grads(problem.batch_gradients(one)))
                if len(rows) == most:
                    yield torch.stack(rows)
                    rows = []
        if rows:
            yield torch.stack(rows)


class GradientCovariance(SymmetricOperator):
    """Σ = Σᵢ (gᵢ − ḡ)(gᵢ − ḡ)ᵀ / (N − 1), the covariance of the gradients of the examples.

    A product is two with the rows where they are kept, else one with the empirical Fisher matrix F:
    Σ = N/(N − 1) · (F − ḡḡᵀ). Weight decay has no part in it: it moves all gradients alike.

    Args:
        gradients: The gradients.
        mean: Their mean ḡ (P,).
    """

    def __init__(self, gradients: ExampleGradients, mean: Tensor) -> None:
        problem = gradients.problem
        super().__init__(problem.size, problem.dtype, problem.device)
        self._gradients = gradients
        self._mean = mean.to(problem.device, problem.dtype)
        self._examples = problem.examples
        self._fisher = None if gradients.kept else empirical_fisher(problem)

    @under_own_context
    def _apply(self, V: Tensor) -> Tensor:
        if self._fisher is None:
            total = torch.zeros_like(V)
            for rows in self._gradients:
                centred = rows - self._mean
                total += centred.T @ products(centred, V.T)
            return total / (self._examples - 1)
        found = self._fisher @ V
        found -= self._fisher.problem.weight_decay * V
        along = torch.tensor([inner_product(self._mean, v) for v in V.T]).to(V)
        found -= self._mean[:, None] * along
        return found * (self._examples / (self._examples - 1))

    def release(self) -> None:
        """Drop kept graphs and their memory."""
        if self._fisher is not None:
            self._fisher.release()
