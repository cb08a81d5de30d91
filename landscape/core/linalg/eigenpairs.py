"""Extreme eigenpairs of symmetric operators by block Lanczos, and the plain Lanczos recurrence."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

import torch
from torch import Tensor

from landscape.core.linalg.krylov import (
    BREAKDOWN,
    KrylovBasis,
    KrylovState,
    check_product,
    start_rows,
    working_dtype,
)
from landscape.core.linalg.selection import Which, ends_of, rank_requested
from landscape.core.linalg.tridiagonal import Tridiagonal, excludes, lanczos, tridiagonal_matrix
from landscape.errors import InputError, suggest

if TYPE_CHECKING:
    from landscape.core.linalg.operators import SymmetricOperator

__all__ = [
    "EigenProgress",
    "Eigenpairs",
    "LanczosState",
    "Tridiagonal",
    "Which",
    "eigenpairs",
    "lanczos",
]

BASIS_BYTES = 256 * 2**20
MISS_MARGIN = 0.05  # of the last requested value: within it, a dense bulk would take very long to search
SHORT_SEARCH = 40
KEPT_SHARE = 0.4
DENSE_BLOCK = 64


@dataclass(frozen=True)
class Eigenpairs:
    """The k requested eigenpairs of an operator of size n, and how far they can be trusted.

    Attributes:
        values: eigenvalues (k,), float64, in the order of `which`.
        residuals: norms ||A u - lambda u|| (k,), float64; an eigenvalue lies within each.
        vectors: orthonormal eigenvectors (n, k) in the operator's precision, if asked for.
        converged: whether every residual is at most `tol` * |largest eigenvalue found|.
        complete: whether the search for missed eigenvalues (see `eigenpairs`) ended without a find.
        iterations: operator calls, each with up to `block` vectors.
        products: single-vector products.
        tol: the relative tolerance in force.
    """

    values: Tensor
    residuals: Tensor
    vectors: Tensor | None
    converged: bool
    complete: bool
    iterations: int
    products: int
    tol: float


@dataclass(frozen=True)
class EigenProgress:
    """What a run of `eigenpairs` knows after an operator call.

    Attributes:
        values: the requested Ritz values found so far, up to (k,).
        residuals: their residual norms.
        converged: how many of them meet the tolerance.
        products: single-vector products so far.
        iterations: operator calls so far.
        checking: whether the requested pairs have converged and missed ones are being searched.
    """

    values: Tensor
    residuals: Tensor
    converged: int
    products: int
    iterations: int
    checking: bool
    _run: _Run = field(repr=False)

    def state(self) -> LanczosState:
        """Return a copy of the run, to be saved; `eigenpairs(..., start=state)` continues it."""
        return LanczosState(self._run.basis.state(), self._run.chain, self._run.settled, self._run.scale)


@dataclass(frozen=True)
class LanczosState:
    """A run of `eigenpairs` in mid-air: tensors and numbers only.

    Attributes:
        basis: the basis and projected problem, at most (basis, n) values.
        chain: where the search for missed eigenvalues began in the basis, if it is under way.
        settled: how many basis vectors the requested pairs came from before that.
        scale: largest |eigenvalue| found so far.
    """

    basis: KrylovState
    chain: int | None
    settled: int
    scale: float


def eigenpairs(
    operator: SymmetricOperator,
    k: int,
    which: Which = "LM",
    *,
    tol: float = 1e-4,
    block: int = 1,
    basis: int | None = None,
    max_products: int | None = None,
    seed: int = 0,
    start: Tensor | LanczosState | None = None,
    vectors: bool = False,
    search: bool = True,
    on_progress: Callable[[EigenProgress], None] | None = None,
) -> Eigenpairs:
    """Compute k extreme eigenpairs of a symmetric operator of size n.

    Thick-restart block Lanczos (Wu and Simon 2000) with full reorthogonalisation, so that no
    spurious copies appear, and Rayleigh-Ritz in float64. The spectrum may be indefinite, with
    eigenvalues lambda and -lambda' of nearly equal size, where power iteration fails.

    **Copies.** From one starting vector a Krylov space holds one vector of each eigenspace, so
    copies of multiple eigenvalues are missed and residuals do not tell. Once k pairs have
    converged, a Lanczos chain is therefore grown from a random vector orthogonal to them. If it
    changes a requested value by more than the tolerance, a pair had been missed and the iteration
    goes on with the chain in the basis; each missed copy costs one such chain. Else the chain
    ends as soon as its coefficients prove (`excludes`), with probability 99.9 %, that no eigenvalue
    further out than the last one returned, by more than 5 % of it or by the tolerance, is
    missing. That takes about 5 products when the requested values stand clear of the rest and some
    15 to 40 when the last of them lies at the edge of a dense bulk. The search gives up after
    max(40, half the products so far); `complete` says whether it ended.

    **Memory.** n times `basis` vectors (plus `block`, or the columns of `start`), in float32, or
    float64 for float64 operators; and n times k for `vectors`. By default `basis` takes up to
    256 MiB, but at least max(2k, k + 20) vectors and at most 2k + 100.

    If 2k >= n the matrix is formed instead, by n products.

    Args:
        operator: the operator A: `A @ V` for V (n, c).
        k: number of pairs; n if larger than n.
        which: "LM" largest magnitude, by falling |value|; "LA" largest, falling; "SA" smallest,
            rising; "BE" both ends (ceil(k/2) largest, floor(k/2) smallest), falling.
        tol: largest residual allowed, relative to the largest |eigenvalue| found; raised to 20
            eps of the working precision if smaller.
        block: vectors per operator call. One is the most economical in products; more pays
            where the operator multiplies blocks much faster than single vectors.
        basis: the most basis vectors stored.
        max_products: budget of products, at least k; 500 + 20 k by default. When it is used up,
            the best pairs so far are returned, flagged.
        seed: seed of the random vectors; the same seed gives the same bits.
        start: a vector (n,) to start from, such as the gradient or the **sum** of the eigenvectors
            of a neighbouring checkpoint; or a block (n, c), which costs more products unless it
            has nearly converged; or a `LanczosState`, to continue that run with the same bits
            (under the same settings).
        vectors: whether to return eigenvectors.
        search: whether to search for missed pairs. Without, copies may be missed silently, and
            `complete` is False unless the matrix is formed.
        on_progress: called after every operator call. What it raises ends the run.

    Raises:
        InputError: an argument is out of range, or `start` does not fit.
        LandscapeError: a product is not finite.

    Example:
        >>> import torch
        >>> from landscape.core.linalg.operators import DenseOperator
        >>> A = DenseOperator(torch.diag(torch.tensor([3.0, 3.0, -4.0] + 30 * [0.5])))
        >>> eigenpairs(A, 3).values.round(decimals=3).tolist()
        [-4.0, 3.0, 3.0]
    """
    n = operator.size
    budget = 500 + 20 * k if max_products is None else max_products
    _check_arguments(k, which, tol, block, budget)
    k = min(k, n)
    tol = max(tol, BREAKDOWN * torch.finfo(working_dtype(operator.dtype)).eps)
    if 2 * k >= n and budget >= n and not isinstance(start, LanczosState):
        return _dense(operator, k, which, tol, vectors)
    least = max(2 * k, k + 20)
    if basis is None:
        bytes_each = n * working_dtype(operator.dtype).itemsize
        basis = min(max(least, BASIS_BYTES // bytes_each), 2 * k + 100)
    elif basis < k + 2 * block:
        raise InputError(f"basis={basis} is too small: k + 2 block = {k + 2 * block} at least.")
    state = start if isinstance(start, LanczosState) else None
    first = start_rows(start, operator) if isinstance(start, Tensor) else None
    capacity = min(basis, n) + max(block, 0 if first is None else len(first))
    krylov = KrylovBasis(operator, capacity, seed=seed, state=state.basis if state else None)
    if state is None and (first is None or krylov.inject(first) == 0):
        krylov.inject_random(block)
    run = _Run(krylov, k, which, tol, block, budget, on_progress)
    if state is not None:
        run.chain, run.settled, run.scale = state.chain, state.settled, state.scale
    return run.solve(vectors, search)


@dataclass
class _Run:
    """One run of `eigenpairs`: the basis, what is requested of it, and how far it has come."""

    basis: KrylovBasis
    k: int
    which: Which
    tol: float
    block: int
    budget: int
    on_progress: Callable[[EigenProgress], None] | None
    chain: int | None = None
    settled: int = 0
    scale: float = 0.0

    def solve(self, vectors: bool, search: bool) -> Eigenpairs:
        """Converge, search for missed pairs, and again, until nothing is missing."""
        self._rayleigh_ritz()
        verdict = None
        while self._converge() and search:
            verdict = self._search()
            if verdict != "found":
                break
        if self.chain is not None:
            self._rayleigh_ritz(among=self.settled)  # what the search added since is noise
        chosen = self.requested
        return Eigenpairs(
            values=self.theta[chosen],
            residuals=self.residuals[chosen],
            vectors=self.basis.vectors(self.S[:, chosen]) if vectors else None,
            converged=self._all_converged(),
            complete=verdict == "excluded",
            iterations=self.basis.iterations,
            products=self.basis.products,
            tol=self.tol,
        )

    def _rayleigh_ritz(self, among: int | None = None) -> None:
        self.theta, self.S, self.residuals = self.basis.ritz(among)
        self.requested = rank_requested(self.theta, self.k, self.which)
        if len(self.theta):  # restarts may drop the largest, so remember it
            self.scale = max(self.scale, float(self.theta.abs().max()))
        self.allowed = self.tol * self.scale
        self.fine = self.residuals <= self.allowed

    def _all_converged(self) -> bool:
        return len(self.requested) == self.k and bool(self.fine[self.requested].all())

    def _expand(self, count: int) -> None:
        self.basis.expand(min(count, self.basis.pending, self.budget - self.basis.products))
        self._rayleigh_ritz()
        if self.on_progress is not None:
            self.on_progress(
                EigenProgress(
                    values=self.theta[self.requested],
                    residuals=self.residuals[self.requested],
                    converged=int(self.fine[self.requested].sum()),
                    products=self.basis.products,
                    iterations=self.basis.iterations,
                    checking=self.chain is not None,
                    _run=self,
                )
            )

    def _converge(self) -> bool:
        """Expand until the requested pairs have converged; False if the budget ends first."""
        basis = self.basis
        while self.chain is None and not self._all_converged():
            if basis.products >= self.budget:
                return False
            if basis.pending == 0 and basis.inject_random(self.block) == 0:
                break  # the basis spans the whole space
            if basis.filled + self.block > basis.capacity:
                self._restart()
            missing = self.requested[~self.fine[self.requested]]
            if basis.pending > self.block and len(missing):
                basis.sort_pending(self.S[:, missing])
            self._expand(self.block)
        return True

    def _restart(self) -> None:
        """Keep the requested Ritz vectors and a share of the next ones, which speed up convergence."""
        room = self.basis.capacity - self.basis.pending - self.block
        kept = self.k + int(KEPT_SHARE * (room - self.k))
        self.basis.restart(self.S[:, rank_requested(self.theta, kept, self.which)])
        self._rayleigh_ritz()

    def _search(self) -> Literal["found", "excluded", "undecided"]:
        """Look for a missed pair with a chain from a random vector."""
        basis = self.basis
        if basis.expanded == basis.operator.size:
            return "excluded"
        if self.chain is None:
            # Converged pairs alone stay, so that what is left of the operator is nearly
            # decoupled from them and the bound on its eigenvalues holds for the operator.
            best = rank_requested(self.theta, max(self.k, basis.capacity // 2), self.which)
            basis.restart(self.S[:, best[self.fine[best]]])
            self._rayleigh_ritz()
            basis.park(limit=(basis.capacity - self.k - self.block) // 2 - 1)
            self.chain = basis.expanded
            basis.inject_random(1)
            self.settled = basis.expanded
        while True:
            values = self._ranked(self.settled)
            if bool(((self._ranked() - values).abs() > self.allowed).any()):
                if not self._all_converged():
                    break
                self.settled, values = basis.expanded, self._ranked()
            ends = ends_of(values, self.which)
            if basis.pending == 0 or self._excluded(ends):
                if self._risen(ends):  # what the chain found may itself have copies: search once more
                    break
                return "excluded"
            idle = basis.expanded - self.settled
            longest = max(SHORT_SEARCH, (basis.products - idle) // 2)
            full = basis.filled + basis.parked >= basis.capacity
            if idle >= longest or basis.products >= self.budget or full:
                return "undecided"
            self._expand(1)
        self.chain = None
        basis.unpark()
        return "found"

    def _ranked(self, among: int | None = None) -> Tensor:
        """The requested values of the first so many basis vectors; their sizes if those rank them."""
        theta = self.theta if among is None else self.basis.ritz(among)[0]
        values = theta[rank_requested(theta, self.k, self.which)]
        return values.abs() if self.which == "LM" else values

    def _excluded(self, ends: list[tuple[int, float]]) -> bool:
        """Whether the chain excludes missed eigenvalues beyond all ends."""
        assert self.chain is not None
        alpha, beta = self.basis.tridiagonal(self.chain)
        return all(
            excludes(
                side * alpha,
                beta,
                last + max(self.allowed, MISS_MARGIN * abs(last)),
                size=self.basis.operator.size,
            )
            for side, last in ends
        )

    def _risen(self, ends: list[tuple[int, float]]) -> bool:
        """Whether the chain itself has risen beyond an end by more than the tolerance."""
        assert self.chain is not None
        alpha, beta = self.basis.tridiagonal(self.chain)
        theta = torch.linalg.eigvalsh(tridiagonal_matrix(alpha, beta[:-1]))
        return any(bool((side * theta > last + self.allowed).any()) for side, last in ends)


def _dense(operator: SymmetricOperator, k: int, which: Which, tol: float, vectors: bool) -> Eigenpairs:
    """All products at once, for operators of which most eigenpairs are requested."""
    A = operator.dense(DENSE_BLOCK).double()
    check_product(A, operator)
    theta, S = torch.linalg.eigh((A + A.T) / 2)
    chosen = rank_requested(theta.cpu(), k, which).to(A.device)
    values, u = theta[chosen], S[:, chosen]
    residuals = torch.linalg.vector_norm(A @ u - u * values, dim=0)
    return Eigenpairs(
        values=values.cpu(),
        residuals=residuals.cpu(),
        vectors=u.to(working_dtype(operator.dtype)) if vectors else None,
        converged=bool((residuals <= tol * theta.abs().max()).all()),
        complete=True,
        iterations=math.ceil(operator.size / DENSE_BLOCK),
        products=operator.size,
        tol=tol,
    )


def _check_arguments(k: int, which: str, tol: float, block: int, budget: int) -> None:
    if k < 1:
        raise InputError(f"k={k} eigenpairs cannot be computed: ask for at least 1.")
    if which not in get_args(Which):
        raise InputError(f"which={which!r} is unknown; {suggest(which, get_args(Which))}")
    if not tol > 0:
        raise InputError(f"tol={tol} is not a tolerance: give a positive number, such as 1e-4.")
    if block < 1:
        raise InputError(f"block={block} vectors cannot be multiplied: give at least 1.")
    if budget < k:
        raise InputError(f"max_products={budget} cannot find k={k} pairs: allow at least k.")
