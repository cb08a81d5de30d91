"""Stochastic Lanczos quadrature: the whole spectrum of an operator as weighted points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landscape.core.ambient import under_own_context
from landscape.core.linalg.eigenpairs import Eigenpairs, eigenpairs
from landscape.core.linalg.krylov import BREAKDOWN, working_dtype
from landscape.core.linalg.moment_bounds import Bracket, below, between
from landscape.core.linalg.operators import SymmetricOperator
from landscape.core.linalg.reductions import project_out
from landscape.core.linalg.thick_restart import SEPARATE
from landscape.core.linalg.tridiagonal import Tridiagonal, lanczos, tridiagonal_matrix
from landscape.core.stats.density import WEIGHTLESS, node_spacing
from landscape.core.stats.intervals import standard_error
from landscape.errors import InputError

__all__ = ["SpectralMeasure", "gauss_quadrature", "spectral_measure", "whole_measure"]

Array = NDArray[np.float64]

BASIS_BYTES = 512 * 2**20  # Lanczos vectors of the probes that run side by side


@dataclass(frozen=True)
class SpectralMeasure:
    """The distribution of an operator's n eigenvalues: one set of weighted points per probe.

    Every row holds the bulk's nodes of one probe, then the outliers, each of which weighs 1/n. Weights
    of a row sum to 1, so that n Σ w f(x) estimates tr f(A), and the mean over rows is the best estimate.

    Attributes:
        nodes: Points (probes, nodes), float64.
        weights: Their weights (probes, nodes).
        outliers: How many of the last nodes of a row are outliers.
        residuals: Residual norms ‖Au − λu‖ of the outliers (outliers,).
        size: n.
        products: Products with single vectors.
        iterations: Lanczos steps per probe.
        alpha: Diagonals of the bulk's recurrences (probes, steps).
        beta: Their off-diagonals (probes, steps - 1).
        rounding: Values nearer than this are one and the same.
        converged: Whether all the outliers asked for were found to the tolerance.
    """

    nodes: Array
    weights: Array
    outliers: int
    residuals: Array
    size: int
    products: int
    iterations: int
    alpha: Array
    beta: Array
    rounding: float
    converged: bool

    @property
    def bulk_share(self) -> float:
        """The share of the eigenvalues that are no outliers."""
        return (self.size - self.outliers) / self.size

    @property
    def spacing(self) -> float:
        """Distance of neighbouring nodes in the middle of the bulk: no finer is resolved. 0 without bulk."""
        last = self.nodes.shape[1] - self.outliers
        return node_spacing(self.nodes[:, :last], self.weights[:, :last], self.iterations)

    def share_below(self, cut: float) -> Bracket:
        """The share of eigenvalues below a cut: a bracket of each probe's value, (probes,).

        Exact for the probes (`landscape.core.linalg.moment_bounds`); their mean estimates the share.
        """
        return self.share_between(-np.inf, cut)

    def share_between(self, low: float, high: float) -> Bracket:
        """The share of eigenvalues between two cuts: a bracket of each probe's value, (probes,)."""
        probes = len(self.nodes)
        outliers = self.nodes[0, self.nodes.shape[1] - self.outliers :]
        known = float(((outliers >= low) & (outliers < high)).sum()) / self.size
        if not self.iterations:
            return Bracket(np.full(probes, known), np.full(probes, known))
        if np.isinf(low):
            found = below(self.alpha, self.beta, [high], rounding=self.rounding)
            found = Bracket(found.low[:, 0], found.high[:, 0])
        else:
            found = between(self.alpha, self.beta, low, high, rounding=self.rounding)
        return found.scaled(self.bulk_share, known)

    def mean(self, values: Array) -> tuple[float, float]:
        """Σ w f over eigenvalues: the mean over probes and its standard error (NaN for one probe).

        Args:
            values: f at the nodes, shape (probes, nodes).
        """
        rows = (self.weights * values).sum(1)
        return float(rows.mean()), float(standard_error(rows))

    def kernel_width(self, relative: float) -> float:
        """A kernel width scaled to the spectrum: ``relative`` times the range of the bulk.

        Outliers do not count, since they would blur the bulk; but at least a thousandth of the whole
        range is taken, and the largest |λ| where all eigenvalues are equal.
        """
        held = self.weights > WEIGHTLESS
        last = self.nodes.shape[1] - self.outliers
        every = self.nodes[held]
        bulk = self.nodes[:, :last][held[:, :last]] if last else every
        scale = max(np.ptp(bulk), 1e-3 * np.ptp(every))
        largest = np.abs(every).max()
        return float(relative * (scale if scale > 1e-9 * largest else largest or 1.0))


def gauss_quadrature(run: Tridiagonal) -> tuple[Tensor, Tensor]:
    """Nodes and weights of the Gauss rule behind a Lanczos recurrence (Golub and Welsch 1969).

    The weights of a row sum to 1; with v the unit starting vector, Σ w x^j = vᵀAʲv exactly for
    j <= 2 steps - 1.

    Args:
        run: Lanczos coefficients of one or of c starting vectors.

    Returns:
        Nodes and weights, (steps,) or (c, steps), float64; nodes ascend.

    Example:
        >>> run = Tridiagonal(torch.tensor([1.0, 1.0]), torch.tensor([2.0]), torch.tensor(1.0), None)
        >>> [t.round(decimals=6).tolist() for t in gauss_quadrature(run)]
        [[-1.0, 3.0], [0.5, 0.5]]
    """
    nodes, vectors = torch.linalg.eigh(tridiagonal_matrix(run.alpha, run.beta))
    return nodes, vectors[..., 0, :].square()


@under_own_context
def whole_measure(operator: SymmetricOperator, *, probes: int = 2) -> SpectralMeasure:
    """All eigenvalues of a matrix that is small enough to be formed, in the form of `spectral_measure`.

    Costs n products. Every eigenvalue is one of the outliers, and all rows are the same.

    Args:
        operator: A, of size n.
        probes: Rows; two or more have an error, which is 0.

    Raises:
        LandscapeError: If a product is not finite.
    """
    found = eigenpairs(operator, operator.size, tol=1e-6)
    values = found.values.numpy()
    n = len(values)
    return SpectralMeasure(
        nodes=np.tile(values, (probes, 1)),
        weights=np.full((probes, n), 1.0 / n),
        outliers=n,
        residuals=found.residuals.numpy(),
        size=n,
        products=found.products,
        iterations=0,
        alpha=np.zeros((probes, 0)),
        beta=np.zeros((probes, 0)),
        rounding=BREAKDOWN * torch.finfo(working_dtype(operator.dtype)).eps * float(np.abs(values).max()),
        converged=True,
    )


@under_own_context
def spectral_measure(
    operator: SymmetricOperator,
    *,
    outliers: int | Eigenpairs = 10,
    probes: int = 5,
    steps: int = 40,
    tol: float = 3e-3,
    seed: int = 0,
    on_progress: Callable[[float], None] | None = None,
) -> SpectralMeasure:
    """Estimate the distribution of all eigenvalues by stochastic Lanczos quadrature.

    The ``outliers`` eigenvalues of largest magnitude are computed first and taken out: each carries the
    weight 1/n exactly, where plain quadrature gives it the random weight of one squared entry of a
    probe. What is left of the operator, (I − QQᵀ)A(I − QQᵀ), is met by probes uniform on the unit
    sphere of the complement (Gaussian vectors, projected and normalised), each with its own Lanczos
    recurrence with full reorthogonalisation (Ghorbani, Krishnan and Xiao 2019; Papyan 2020).

    Costs probes · steps products and those for the outliers. Memory: steps vectors of n per probe,
    probes side by side up to 512 MiB.

    Args:
        operator: A, of size n.
        outliers: Most eigenpairs taken out (0 for plain quadrature), or pairs found before. Those whose
            residual exceeds a tenth of |λ| are left in the bulk: they are not known well enough to be told
            from it.
        probes: Number of probes.
        steps: Lanczos steps per probe.
        tol: Residual allowed for an outlier, relative to the largest |λ|. The error of an eigenvalue is of
            second order in it, so that products are better spent on probes than on a smaller one; a larger
            one leaves outliers of a few percent of the largest |λ| in the bulk.
        seed: Seed of the probes and of the outliers' starting vector.
        on_progress: Called with the finished fraction.

    Raises:
        InputError: If a count is out of range.
        LandscapeError: If a product is not finite.
    """
    requested = outliers if isinstance(outliers, int) else len(outliers.values)
    if requested < 0 or probes < 1 or steps < 1:
        raise InputError(
            f"quadrature needs outliers >= 0, probes >= 1, steps >= 1; got {requested}, {probes}, {steps}."
        )
    n = operator.size
    dtype = working_dtype(operator.dtype)
    report = on_progress or (lambda fraction: None)
    products, converged = 0, True
    values, residuals = np.zeros(0), np.zeros(0)
    Q = torch.zeros(n, 0, dtype=dtype, device=operator.device)
    found = None if isinstance(outliers, int) else outliers
    # No search for missed copies: one that is missed stays in the bulk, where the probes meet it.
    if found is None and requested:
        found = eigenpairs(operator, min(requested, n), tol=tol, vectors=True, search=False, seed=seed)
        products = found.products
    if found is not None:
        if found.vectors is None:
            raise InputError("the outliers hold no eigenvectors: find them with vectors=True.")
        # The second term lets eigenvalues at zero through, whose residual is rounding of the largest ones.
        apart = found.residuals <= SEPARATE * found.values.abs() + BREAKDOWN * found.rounding
        Q = found.vectors[:, apart.to(found.vectors.device)].to(Q)
        values, residuals = found.values[apart].numpy(), found.residuals[apart].numpy()
        converged = found.converged and bool(apart.all())
    kept = len(values)
    steps = min(steps, n - kept)  # the complement has no more dimensions
    report(products / (products + probes * steps))
    bulk = operator.deflate(Q) if kept else operator
    generator = torch.Generator().manual_seed(seed)
    side = max(1, min(probes, BASIS_BYTES // (n * max(steps, 1) * dtype.itemsize)))
    nodes: list[Array] = []
    weights: list[Array] = []
    alpha: list[Array] = []
    beta: list[Array] = []
    for first in range(0, probes, side):
        count = min(side, probes - first)
        if steps == 0:  # every eigenvalue is an outlier
            nodes.append(np.zeros((count, 0)))
            weights.append(np.zeros((count, 0)))
            alpha.append(np.zeros((count, 0)))
            beta.append(np.zeros((count, 0)))
            continue
        # Drawn on the CPU in float32, so that one seed gives the same probes on every device and dtype.
        V = torch.randn(n, count, generator=generator).to(Q)
        run = lanczos(bulk, steps, project_out(Q, V))
        alpha.append(run.alpha.numpy())
        beta.append(run.beta.numpy())
        x, w = gauss_quadrature(run)
        nodes.append(x.numpy())
        weights.append(w.numpy() * (n - kept) / n)  # a probe stands for the n − kept that are left
        products += count * steps
        report(products / (products + (probes - first - count) * steps))
    ends = np.tile(values, (probes, 1))
    every = np.concatenate([np.concatenate(nodes), ends], axis=1)
    return SpectralMeasure(
        nodes=every,
        weights=np.concatenate([np.concatenate(weights), np.full_like(ends, 1.0 / n)], axis=1),
        outliers=kept,
        residuals=residuals,
        size=n,
        products=products,
        iterations=steps,
        alpha=np.concatenate(alpha),
        beta=np.concatenate(beta),
        rounding=BREAKDOWN * torch.finfo(dtype).eps * float(np.abs(every).max(initial=0.0)),
        converged=converged,
    )
