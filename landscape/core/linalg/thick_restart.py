"""Thick-restart block Lanczos: a run of the eigensolver, its results and its states in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from landscape.core.linalg.krylov import KrylovBasis, KrylovState, working_dtype
from landscape.core.linalg.selection import Which, ends_of, rank_requested
from landscape.core.linalg.tridiagonal import excludes, tridiagonal_matrix

__all__ = ["SEPARATE", "EigenProgress", "Eigenpairs", "LanczosState", "ThickRestart"]

# The search for missed pairs (see `eigenpairs`):
MISS_MARGIN = 0.05  # of the last requested value: within it, a dense bulk would take very long to search
SHORT_SEARCH = 40  # products that a search may always take, however few the pairs took

SEPARATE = 0.1  # residual over |λ| up to which an eigenvalue is told from zero, and from a bulk about it

KEPT_SHARE = 0.4  # of the room beyond the k pairs that a restart fills with the next Ritz vectors


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
        scale: largest |eigenvalue| met on the way, which `tol` is relative to.
        rounding: what products of this precision leave unknown of every eigenvalue, eps * `scale`.
    """

    values: Tensor
    residuals: Tensor
    vectors: Tensor | None
    converged: bool
    complete: bool
    iterations: int
    products: int
    tol: float
    scale: float
    rounding: float

    @property
    def resolved(self) -> Tensor:
        """Whether each residual, or rounding if larger, is at most a tenth of its own |lambda| (k,), bool.

        `converged` compares with the largest eigenvalue: beside a huge one, a small one may be all error.
        """
        return self.residuals.clamp_min(self.rounding) <= SEPARATE * self.values.abs()


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
    _run: ThickRestart = field(repr=False)

    def state(self, *, copy: bool = True) -> LanczosState:
        """Return the run, to be saved; `eigenpairs(..., start=state)` continues it.

        Args:
            copy: whether to copy the basis; else its vectors are those of the run, until its next product.
        """
        run = self._run
        return LanczosState(run.basis.state(copy=copy), run.chain, run.settled, run.scale)


@dataclass(frozen=True)
class LanczosState:
    """An unfinished run of `eigenpairs`: tensors and numbers only.

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


@dataclass
class ThickRestart:
    """One run: the basis, which pairs are requested of it, and how far it has come.

    Attributes:
        basis: The Krylov basis with its projected problem.
        k: Number of pairs.
        which: Which pairs.
        tol: Largest residual allowed, relative to ``scale``.
        block: Vectors per operator call.
        budget: The most products.
        on_progress: Called after every operator call.
        chain: First basis vector of the search for missed pairs, while it is under way.
        settled: Number of basis vectors that the requested pairs come from, while it is under way.
        scale: Largest |eigenvalue| found so far.
    """

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
            scale=self.scale,
            rounding=torch.finfo(working_dtype(self.basis.operator.dtype)).eps * self.scale,
        )

    def _rayleigh_ritz(self, among: int | None = None) -> None:
        self.theta, self.S, self.residuals = self.basis.ritz(among)
        self.requested = rank_requested(self.theta, self.k, self.which)
        if len(self.theta):  # restarts may drop the largest, so remember it
            self.scale = max(self.scale, float(self.theta.abs().max()))
        # Relative to the operator's norm, not to each eigenvalue: rounding of a product is of that size.
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
            # More directions wait than one call multiplies: first those that help the pairs still missing.
            if basis.pending > self.block and len(missing):
                basis.sort_pending(self.S[:, missing])
            self._expand(self.block)
        return True

    def _restart(self) -> None:
        """Keep the requested Ritz vectors and a share of the next ones, which speed up convergence."""
        # Pending vectors stay, and one call must fit after the restart.
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
            # Half of the memory that is left is for the parked vectors, half for the chain.
            basis.park(limit=(basis.capacity - self.k - self.block) // 2 - 1)
            self.chain = basis.expanded
            basis.inject_random(1)
            self.settled = basis.expanded
        while True:
            values = self._ranked(self.settled)
            # With the chain's vectors the requested values differ: a pair had been missed. If all pairs
            # have converged nonetheless, the new ones count and the same chain goes on.
            if bool(((self._ranked() - values).abs() > self.allowed).any()):
                if not self._all_converged():
                    break
                self.settled, values = basis.expanded, self._ranked()
            ends = ends_of(values, self.which)
            if basis.pending == 0 or self._excluded(ends):
                if self._risen(ends):  # what the chain found may itself have copies: search once more
                    break
                return "excluded"
            idle = basis.expanded - self.settled  # products since the chain last changed a value
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
