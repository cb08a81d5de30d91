"""Effective dimension: how many directions of parameter space a matrix determines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from landscape.core.ambient import under_own_context
from landscape.core.linalg.operators import SymmetricOperator
from landscape.core.linalg.psd_quadrature import gauss_radau, psd_quadrature
from landscape.errors import InputError

__all__ = ["EffectiveDimension", "effective_dimension", "gauss_radau"]

Array = NDArray[np.float64]


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
        >>> import torch
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
    rules = psd_quadrature(
        operator, values, vectors, probes=probes, steps=steps, seed=seed, on_progress=on_progress
    )
    found = rules.sum(lambda x: x / (x + alpha))
    return EffectiveDimension(alpha, found.upper, found.lower, found.error, rules.products)
