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
from landscape.core.linalg.operators import DenseOperator, SymmetricOperator
from landscape.core.linalg.reductions import project_out
from landscape.core.linalg.room import too_little, vectors_that_fit
from landscape.core.linalg.thick_restart import SEPARATE
from landscape.core.linalg.tridiagonal import RECURRENCE, Tridiagonal, lanczos, tridiagonal_matrix
from landscape.core.stats.density import WEIGHTLESS, node_spacing
from landscape.core.stats.intervals import standard_error
from landscape.errors import InputError

__all__ = ["SpectralMeasure", "gauss_quadrature", "spectral_measure", "whole_measure"]

Array = NDArray[np.float64]

BASIS_BYTES = 512 * 2**20  # Lanczos vectors of the probes that run side by side
LEAST_STEPS = 8  # fewer find no outlier

SINGLE = 16.0
"""n times the weight of a single eigenvalue in a random probe is χ² of one degree of freedom: it exceeds
this once in 16,000."""
LEAST_LEFT = 0.1
"""What is left of the first probe has to weigh so much of what is expected, to stand for the rest."""


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
        converged: Whether all pairs that were given could be taken out.
        reorthogonalised: Whether the Lanczos vectors of every probe were kept, and kept orthogonal.
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
    reorthogonalised: bool = True

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
    outliers: int | Eigenpairs = 40,
    probes: int = 5,
    steps: int = 40,
    tol: float = 3e-3,
    reorthogonalise: bool = True,
    seed: int = 0,
    memory_budget: int | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> SpectralMeasure:
    """Estimate the distribution of all eigenvalues by stochastic Lanczos quadrature.

    The eigenvalues of largest magnitude that the recurrence of the first probe finds are taken out: each
    carries the weight 1/n exactly, where plain quadrature gives it the random weight of one squared entry
    of a probe. What is left of that recurrence is the first probe's measure of the bulk, so that outliers
    cost no product of their own, and those that do not stand clear of the bulk are not waited for. The other
    probes are uniform on the unit sphere of the complement (Gaussian vectors, projected and normalised) and
    meet what is left of the operator, (I − QQᵀ)A(I − QQᵀ), each with its own Lanczos recurrence with full
    reorthogonalisation (Ghorbani, Krishnan and Xiao 2019; Papyan 2020).

    Costs probes · steps products; n of them if `outliers` are half of all eigenvalues, which are then
    computed all. Memory: steps vectors of n per probe, probes side by side up to 512 MiB, and those taken
    out, of which there are fewer where they do not fit into memory: the others stay in the bulk.

    Where not even the steps of one probe fit, the recurrences run without reorthogonalisation, each with two
    vectors (see `lanczos`). Outliers are then those that a recurrence of as many steps as fit has found, a
    third of the memory being left to them; its products come on top, as it is too short to stand for a probe.
    What converges in the bulk comes as copies that share its weight, so that the same steps resolve less.

    Args:
        operator: A, of size n.
        outliers: Most eigenpairs taken out (0 for plain quadrature), or pairs found before. Those whose
            residual exceeds a tenth of |λ| are left in the bulk: they are not known well enough to be told
            from it. So is a value that weighs more in the first probe than a single one does: it has copies.
        probes: Number of probes.
        steps: Lanczos steps per probe.
        tol: Residual allowed for an outlier, relative to the largest |λ|. The error of an eigenvalue is of
            second order in it; a larger one leaves outliers of a few percent of the largest |λ| in the bulk.
        reorthogonalise: Whether to keep the vectors of all steps where they fit; if not, those of the first
            probe alone are kept, which finds the outliers.
        seed: Seed of the probes.
        memory_budget: Bytes that vectors may take; ``None`` takes the free memory less what a product needs.
        on_progress: Called with the finished fraction.

    Raises:
        InputError: If a count is out of range, or memory too small for two vectors.
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
    generator = torch.Generator().manual_seed(seed)
    room = vectors_that_fit(operator, memory_budget)
    length = min(steps, n)  # of the recurrence that finds the outliers
    if length > room:
        if room < RECURRENCE:
            what = f"{steps} Lanczos steps keep, even without reorthogonalisation,"
            raise too_little(operator, RECURRENCE, room, what, "choose fewer parameters")
        reorthogonalise = False
        length = room - min(requested, room // 3)
    budget = room * n * dtype.itemsize  # decided once: a run that has begun is not refused

    def draw(count: int) -> Tensor:
        # On the CPU in float32, so that one seed gives the same probes on every device and dtype.
        return torch.randn(n, count, generator=generator).to(operator.device, dtype)

    known = outliers if isinstance(outliers, Eigenpairs) else None
    products, first = 0, None
    if known is None and 2 * requested >= n:
        known = eigenpairs(operator, min(requested, n), tol=tol, vectors=True, search=False, seed=seed)
        products = known.products
    if known is not None:
        taken = _resolved(known, dtype, operator.device)
    elif requested and length >= min(steps, n, LEAST_STEPS):
        products = length
        run = lanczos(operator, length, draw(1), vectors=True, memory_budget=budget)
        most = min(requested, room - length, max(room - RECURRENCE, 0))
        taken, first = _first_probe(run, most, tol, dtype)
        del run  # its vectors
        if length < min(steps, n):
            first = None  # too few moments
        report(1 / probes)
    else:
        taken = _Outliers(np.zeros(0), np.zeros(0), torch.zeros(n, 0, dtype=dtype, device=operator.device))
    kept = len(taken.values)
    steps = min(steps, n - kept)  # the complement has no more dimensions
    runs = [] if first is None else [_as_row(*first, steps)]
    done = len(runs)
    bulk = operator.deflate(taken.vectors) if kept else operator
    each = max(steps, 1) if reorthogonalise else RECURRENCE
    side = max(1, min(probes, min(BASIS_BYTES // (n * dtype.itemsize), room - kept) // each))
    while done < probes:
        count = min(side, probes - done)
        if steps:
            found = lanczos(
                bulk,
                steps,
                project_out(taken.vectors, draw(count)),
                reorthogonalise=reorthogonalise,
                memory_budget=budget,
            )
            runs.append((found.alpha, found.beta))
            products += count * steps
        else:  # every eigenvalue is an outlier
            runs.append((torch.zeros(count, 0).double(), torch.zeros(count, 0).double()))
        done += count
        report(done / probes)
    alpha, beta = (torch.cat(parts) for parts in zip(*runs, strict=True))
    nodes, weights = np.zeros((probes, 0)), np.zeros((probes, 0))
    if steps:
        none = torch.ones(probes, dtype=torch.float64)
        nodes, weights = (t.numpy() for t in gauss_quadrature(Tridiagonal(alpha, beta, none, None)))
    ends = np.tile(taken.values, (probes, 1))
    every = np.concatenate([nodes, ends], axis=1)
    return SpectralMeasure(
        nodes=every,
        # a probe stands for the n − kept that are left
        weights=np.concatenate([weights * (n - kept) / n, np.full_like(ends, 1.0 / n)], axis=1),
        outliers=kept,
        residuals=taken.residuals,
        size=n,
        products=products,
        iterations=steps,
        alpha=alpha.numpy(),
        beta=beta.numpy(),
        rounding=BREAKDOWN * torch.finfo(dtype).eps * float(np.abs(every).max(initial=0.0)),
        converged=known is None or (known.converged and kept == len(known.values)),
        reorthogonalised=reorthogonalise,
    )


@dataclass(frozen=True)
class _Outliers:
    """Eigenvalues that are taken out, by falling magnitude, their residual norms, and vectors (n, kept)."""

    values: Array
    residuals: Array
    vectors: Tensor


def _resolved(found: Eigenpairs, dtype: torch.dtype, device: torch.device) -> _Outliers:
    """Those of the pairs that can be told from a bulk about zero."""
    if found.vectors is None:
        raise InputError("the outliers hold no eigenvectors: find them with vectors=True.")
    # The second term lets eigenvalues at zero through, whose residual is rounding of the largest ones.
    apart = found.residuals <= SEPARATE * found.values.abs() + BREAKDOWN * found.rounding
    vectors = found.vectors[:, apart.to(found.vectors.device)].to(device, dtype)
    return _Outliers(found.values[apart].numpy(), found.residuals[apart].numpy(), vectors)


def _first_probe(
    run: Tridiagonal, most: int, tol: float, dtype: torch.dtype
) -> tuple[_Outliers, tuple[Tensor, Tensor] | None]:
    """The outliers that a recurrence on the whole operator has found, and the recurrence without them.

    None in its place if next to nothing of the probe is left: a space of few dimensions, or copies.
    """
    assert run.basis is not None
    n = run.basis.shape[1]
    alpha, coupling = run.alpha[0], run.coupling[0]
    last = int((coupling > 0).cumprod(0).sum())  # where it ends
    length = min(last + 1, len(alpha))
    alpha, beta = alpha[:length], run.beta[0, : length - 1]
    theta, S = torch.linalg.eigh(tridiagonal_matrix(alpha, beta))
    residuals, shares = coupling[length - 1] * S[-1].abs(), S[0].square()
    scale = float(theta.abs().max())
    rounding = BREAKDOWN * torch.finfo(dtype).eps * scale
    good = (residuals <= tol * scale) & (residuals <= SEPARATE * theta.abs() + rounding)
    good &= n * shares <= SINGLE
    order = theta.abs().argsort(descending=True, stable=True)[:most]
    chosen = order[good[order]]
    vectors = run.basis[0][:, :length] @ S[:, chosen].to(run.basis)
    taken = _Outliers(theta[chosen].numpy(), residuals[chosen].numpy(), vectors)
    left = torch.ones(length, dtype=torch.bool)
    left[chosen] = False
    if float(shares[left].sum()) < LEAST_LEFT * (n - len(chosen)) / n:
        return taken, None
    rest = lanczos(DenseOperator(torch.diag(theta[left])), int(left.sum()), shares[left].sqrt())
    return taken, (rest.alpha, rest.beta)


def _as_row(alpha: Tensor, beta: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """A recurrence as one row of so many steps, of which the last are zero, as where it ends early."""
    row, couplings = torch.zeros(1, steps).double(), torch.zeros(1, max(steps - 1, 0)).double()
    row[0, : len(alpha)], couplings[0, : len(beta)] = alpha, beta
    return row, couplings
