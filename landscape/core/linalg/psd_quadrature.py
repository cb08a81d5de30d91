"""Sums of a function over the eigenvalues of a positive semi-definite matrix, bounded from both sides."""

from __future__ import annotations

from collections.abc import Callable
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
from landscape.core.stats.density import WEIGHTLESS
from landscape.core.stats.intervals import standard_error
from landscape.errors import InputError

__all__ = ["PsdQuadrature", "SumBounds", "gauss_radau", "psd_quadrature"]

Array = NDArray[np.float64]

BASIS_BYTES = 512 * 2**20
NEGATIVE = 1e-4  # of the largest eigenvalue: above it, a negative node is more than rounding


@dataclass(frozen=True)
class SumBounds:
    """Σ f(λ) over all eigenvalues, for several functions f side by side.

    Attributes:
        upper: Estimates that are too high by what the quadrature misses (a,).
        lower: Estimates that are too low by it (a,).
        error: Standard error over probes of their mean (a,); NaN for one probe.
    """

    upper: Array
    lower: Array
    error: Array


@dataclass(frozen=True)
class PsdQuadrature:
    """What is known of the spectrum of a positive semi-definite matrix: some eigenvalues, rules for the rest.

    Attributes:
        eigenvalues: Those that count exactly (k,).
        rest: The number of the others.
        gauss: Nodes and weights (2, probes, steps) of the Gauss rules of the probes, uniform on the sphere
            of the complement.
        radau: Those of the Gauss-Radau rules with a node at zero.
        products: Products with single vectors.
        defined: Whether no recurrence showed a negative eigenvalue.
    """

    eigenvalues: Array
    rest: int
    gauss: Array
    radau: Array
    products: int
    defined: bool = True

    @classmethod
    def exact(cls, eigenvalues: Array) -> PsdQuadrature:
        """Of a matrix all of whose eigenvalues (n,) are known; rounding below zero counts as zero."""
        nothing = np.zeros((2, 2, 0))  # as of two probes that agree: without an error
        return cls(np.maximum(eigenvalues, 0.0), 0, nothing, nothing, 0)

    def sum(self, function: Callable[[Array], Array]) -> SumBounds:
        """Σ f(λ), bounded if f vanishes at zero and its derivatives alternate in sign, the first positive.

        λ/(λ + α) and ln(1 + λ/α) are such functions. Gauss quadrature then bounds a probe's vᵀf(A)v from
        above and Gauss-Radau quadrature with a node at zero bounds it from below (Golub and Meurant 1994).

        Args:
            function: Maps eigenvalues (..., 1) to values (..., a).
        """
        known = function(np.maximum(self.eigenvalues, 0.0)[:, None]).sum(0)
        if not self.defined:
            unknown = np.full(len(known), np.nan)
            return SumBounds(unknown, unknown, unknown)
        upper, lower = (self.rest * _total(function, *rule) for rule in (self.gauss, self.radau))
        error = np.asarray(standard_error((upper + lower) / 2, 0))
        return SumBounds(known + upper.mean(0), known + np.maximum(lower.mean(0), 0.0), error)


@under_own_context
def psd_quadrature(
    operator: SymmetricOperator,
    values: Tensor,
    vectors: Tensor,
    *,
    probes: int = 4,
    steps: int = 30,
    seed: int = 0,
    on_progress: Callable[[float], None] = lambda fraction: None,
) -> PsdQuadrature:
    """Meet what some eigenpairs leave of a positive semi-definite matrix by random Lanczos recurrences.

    Costs probes · steps products.

    Args:
        operator: A, of size n.
        values: Its largest eigenvalues (k,), of which there may be none.
        vectors: Their eigenvectors (n, k).
        probes: Number of probes.
        steps: Lanczos steps per probe.
        seed: Seed of the probes.
        on_progress: Called with the finished fraction.

    Raises:
        InputError: If a count is out of range.
        LandscapeError: If a product is not finite.

    Example:
        >>> from landscape.core.linalg.operators import DenseOperator
        >>> A = DenseOperator(torch.diag(torch.tensor([9.0, 1.0, 1.0, 1.0])))
        >>> rules = psd_quadrature(A, torch.tensor([9.0]), torch.eye(4)[:, :1])
        >>> rules.sum(np.log1p).upper.round(6).tolist()  # ln 10 + 3 ln 2
        [4.382027]
    """
    if probes < 1 or steps < 1:
        raise InputError(f"a quadrature needs probes >= 1 and steps >= 1; got {probes} and {steps}.")
    Q = vectors.to(operator.device, working_dtype(operator.dtype))
    eigenvalues: Array = values.double().cpu().numpy()
    rest = operator.size - Q.shape[1]
    steps = min(steps, rest)
    nothing = np.zeros((2, probes, 0))
    if not steps:
        return PsdQuadrature(eigenvalues, rest, nothing, nothing, 0)
    before = operator.products
    gauss, radau = [], []
    for run in _recurrences(operator.deflate(Q), Q, probes, steps, seed):
        nodes, weights = _rule(run)
        least = float(nodes[weights > WEIGHTLESS].min(initial=0.0))
        if least < -NEGATIVE * max(nodes.max(), eigenvalues.max(initial=0.0)):
            return PsdQuadrature(
                eigenvalues, rest, nothing, nothing, operator.products - before, defined=False
            )
        gauss.append(np.stack([nodes, weights]))
        # Radau's bound holds if the spectrum lies on one side of its node: at zero, or further out
        # where rounding has left nodes below zero.
        radau.append(np.stack(_rule(gauss_radau(run, 2 * least))))
        on_progress((operator.products - before) / (probes * steps))
    both = [np.concatenate(part, axis=1) for part in (gauss, radau)]
    return PsdQuadrature(eigenvalues, rest, both[0], both[1], probes * steps)


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


def _rule(run: Tridiagonal) -> tuple[Array, Array]:
    nodes, weights = gauss_quadrature(run)
    return nodes.numpy(), weights.numpy()


def _total(function: Callable[[Array], Array], nodes: Array, weights: Array) -> Array:
    """Σ w f(x) over the nodes of each row (rows, a); nodes below zero are rounding."""
    total: Array = (weights[:, :, None] * function(np.maximum(nodes, 0.0)[:, :, None])).sum(1)
    return total
