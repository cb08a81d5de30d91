"""Effective dimension: how many directions of parameter space a matrix determines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landscape.core.ambient import under_own_context
from landscape.core.linalg import moment_bounds
from landscape.core.linalg.krylov import working_dtype
from landscape.core.linalg.operators import SymmetricOperator
from landscape.core.linalg.quadrature import gauss_quadrature
from landscape.core.linalg.reductions import project_out
from landscape.core.linalg.tridiagonal import Tridiagonal, lanczos
from landscape.core.stats.intervals import standard_error
from landscape.errors import InputError

__all__ = ["EffectiveDimension", "effective_dimension", "gauss_radau"]

Array = NDArray[np.float64]

BASIS_BYTES = 512 * 2**20
WEIGHTLESS = 1e-12
NEGATIVE = 1e-4  # of the largest eigenvalue: above it, a negative node is more than rounding


@dataclass(frozen=True)
class EffectiveDimension:
    """N(α) = Σ λ/(λ + α) over all eigenvalues, for several α.

    Attributes:
        alphas: α (a,).
        upper: Estimates that are too high by what the quadrature misses (a,).
        lower: Estimates that are too low by it (a,).
        error: Standard error over probes of their mean (a,); NaN for one probe.
        products: Products with single vectors.
    """

    alphas: Array
    upper: Array
    lower: Array
    error: Array
    products: int


@under_own_context
def effective_dimension(
    operator: SymmetricOperator,
    values: Tensor,
    vectors: Tensor,
    alphas: Sequence[float],
    *,
    probes: int = 4,
    steps: int = 30,
    seed: int = 0,
    on_progress: Callable[[float], None] = lambda fraction: None,
) -> EffectiveDimension:
    """Estimate N(α) = tr A(A + α)⁻¹ of a positive semi-definite A (MacKay 1992).

    Eigenpairs found before count exactly. What is left of A is met by random probes, uniform on the sphere
    of the complement, and their Lanczos recurrences. All even derivatives of λ/(λ + α) are negative and all
    odd ones positive, so that Gauss quadrature bounds a probe's vᵀA(A + α)⁻¹v from above and Gauss-Radau
    quadrature with a node at zero bounds it from below (Golub and Meurant 1994): their distance says what
    the steps do not resolve, apart from the standard error over probes.

    Where a recurrence shows that A has negative eigenvalues, N(α) is not defined and everything is NaN.

    Costs probes · steps products.

    Args:
        operator: A, of size n.
        values: Its largest eigenvalues (k,), of which there may be none.
        vectors: Their eigenvectors (n, k).
        alphas: Each α > 0, in the unit of the eigenvalues.
        probes: Number of probes.
        steps: Lanczos steps per probe.
        seed: Seed of the probes.
        on_progress: Called with the finished fraction.

    Raises:
        InputError: If a count or an α is out of range.
        LandscapeError: If a product is not finite.

    Example:
        >>> from landscape.core.linalg.operators import DenseOperator
        >>> A = DenseOperator(torch.diag(torch.tensor([9.0, 1.0, 1.0, 1.0])))
        >>> found = effective_dimension(A, torch.tensor([9.0]), torch.eye(4)[:, :1], [1.0])
        >>> found.upper.round(6).tolist(), found.lower.round(6).tolist()
        ([2.4], [2.4])
    """
    alpha: Array = np.asarray(alphas, dtype=np.float64)
    if not (alpha > 0).all() or probes < 1 or steps < 1:
        raise InputError(
            f"the effective dimension needs every α > 0, probes >= 1 and steps >= 1; got α = {list(alphas)},"
            f" {probes} and {steps}."
        )
    Q = vectors.to(operator.device, working_dtype(operator.dtype))
    eigenvalues: Array = values.double().cpu().numpy()
    known = _filter(eigenvalues[None], np.ones((1, len(eigenvalues))), alpha)[0]
    rest = operator.size - Q.shape[1]
    steps = min(steps, rest)
    upper, lower = np.zeros((probes, len(alpha))), np.zeros((probes, len(alpha)))
    if steps:
        before = operator.products
        rows = []
        for run in _recurrences(operator.deflate(Q), Q, probes, steps, seed):
            nodes, weights = _rule(run)
            least = float(nodes[weights > WEIGHTLESS].min(initial=0.0))
            if least < -NEGATIVE * max(nodes.max(), eigenvalues.max(initial=0.0)):
                return _undefined(alpha, operator.products - before)
            # Radau's bound holds if the spectrum lies on one side of its node: at zero, or further out
            # where rounding has left nodes below zero.
            rows.append([_filter(nodes, weights, alpha), _filter(*_rule(gauss_radau(run, 2 * least)), alpha)])
            on_progress((operator.products - before) / (probes * steps))
        upper, lower = (rest * np.concatenate(part) for part in zip(*rows, strict=True))
    middle = (upper + lower) / 2
    error = np.asarray(standard_error(middle, 0))
    return EffectiveDimension(
        alpha, known + upper.mean(0), known + np.maximum(lower.mean(0), 0.0), error, probes * steps
    )


def gauss_radau(run: Tridiagonal, end: float) -> Tridiagonal:
    """The recurrence changed in its last coefficient so that its Gauss rule has a node at ``end``.

    The Gauss-Radau rule (Golub 1973) for spectra on one side of ``end``.

    Example:
        >>> run = Tridiagonal(torch.tensor([1.0, 1.0]), torch.tensor([0.5]), torch.tensor(1.0), None)
        >>> gauss_quadrature(gauss_radau(run, 0.0))[0].tolist()
        [0.0, 1.25]
    """
    return replace(
        run, alpha=torch.from_numpy(moment_bounds.gauss_radau(run.alpha.numpy(), run.beta.numpy(), end))
    )


def _recurrences(bulk: SymmetricOperator, Q: Tensor, probes: int, steps: int, seed: int) -> list[Tridiagonal]:
    """Lanczos recurrences of probes in the complement of Q, as many side by side as memory allows."""
    n = bulk.size
    generator = torch.Generator().manual_seed(seed)
    side = max(1, min(probes, BASIS_BYTES // (n * steps * Q.dtype.itemsize)))
    runs = []
    for first in range(0, probes, side):
        V = torch.randn(n, min(side, probes - first), generator=generator).to(Q)
        runs.append(lanczos(bulk, steps, project_out(Q, V)))
    return runs


def _undefined(alpha: Array, products: int) -> EffectiveDimension:
    """NaN: the matrix has negative eigenvalues."""
    unknown = np.full(len(alpha), np.nan)
    return EffectiveDimension(alpha, unknown, unknown, unknown, products)


def _rule(run: Tridiagonal) -> tuple[Array, Array]:
    nodes, weights = gauss_quadrature(run)
    return nodes.numpy(), weights.numpy()


def _filter(nodes: Array, weights: Array, alpha: Array) -> Array:
    """Σ w x/(x + α) over the nodes of each row (rows, a); nodes below zero are rounding."""
    x = np.maximum(nodes, 0.0)[:, :, None]
    total: Array = (weights[:, :, None] * (x / (x + alpha))).sum(1)
    return total
