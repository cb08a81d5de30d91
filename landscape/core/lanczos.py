"""Extreme eigenpairs of symmetric operators by block Lanczos, and the plain Lanczos recurrence."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

import torch
from torch import Tensor

from landscape.core.krylov import (
    BREAKDOWN,
    KrylovBasis,
    KrylovState,
    finite_product,
    working_dtype,
)
from landscape.errors import InputError, suggest

if TYPE_CHECKING:
    from landscape.core.operators import SymmetricOperator

__all__ = ["Eigenpairs", "Progress", "Tridiagonal", "Which", "eigenpairs", "lanczos"]

Which = Literal["LM", "LA", "SA", "BE"]

BASIS_BYTES = 256 * 2**20
MISS_PROBABILITY = 0.01
MISS_MARGIN = 0.05
KEPT_SHARE = 1 / 3


@dataclass(frozen=True)
class Eigenpairs:
    """The k wanted eigenpairs of an operator of size n, and how far they can be trusted.

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
class Progress:
    """What a run of `eigenpairs` knows after an operator call.

    Attributes:
        values: the wanted Ritz values found so far, up to (k,).
        residuals: their residual norms.
        converged: how many of them meet the tolerance.
        products: single-vector products so far.
        iterations: operator calls so far.
        checking: whether the wanted pairs have converged and missed ones are being searched.
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
        return LanczosState(self._run.basis.state(), self._run.chain)


@dataclass(frozen=True)
class LanczosState:
    """A run of `eigenpairs` in mid-air: tensors and numbers only.

    Attributes:
        basis: the basis and projected problem, at most (basis, n) values.
        chain: where the search for missed eigenvalues began in the basis, if it is under way.
    """

    basis: KrylovState
    chain: int | None


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
    on_progress: Callable[[Progress], None] | None = None,
) -> Eigenpairs:
    """Compute k extreme eigenpairs of a symmetric operator of size n.

    Thick-restart block Lanczos (Wu and Simon 2000) with full reorthogonalisation, so that no
    spurious copies appear, and Rayleigh-Ritz in float64. The spectrum may be indefinite, with
    eigenvalues lambda and -lambda' of nearly equal size, where power iteration fails.

    **Copies.** A Krylov space holds one vector of each eigenspace per starting vector, so
    multiple eigenvalues lose their copies and residuals do not tell. Once k pairs have
    converged, a Lanczos chain is therefore grown from a random vector orthogonal to them. If it
    rises to a wanted value, a pair was missed and the iteration goes on with the chain in the
    basis; each missed copy costs one such chain. If not, the chain ends as soon as its
    coefficients prove that, with probability 99 %, no eigenvalue lies more than 2 % (or `tol`)
    beyond the last one returned without being among them: a unit vector
    u with A u = mu u has the component xi p_j(mu) / (beta_1 ... beta_j) in the j-th Lanczos
    vector, at most 1, which bounds its component xi in the random start. The search costs about
    5 products when the wanted values stand clear of the rest, up to some 40 when the last of them
    lies at the edge of a dense bulk; `complete` says whether it ended.

    **Memory.** n times at most `basis` vectors, in float32 (float64 for float64 operators), plus
    n times k for `vectors`. By default the basis takes up to 256 MiB, never less than
    max(2k, k + 20) vectors and never more than 2k + 100.

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
        start: vectors to start from, (n,) or (n, c): the gradient, or the eigenvectors of a
            neighbouring checkpoint; or a `LanczosState`, to continue that run with the same bits
            (under the same settings).
        vectors: whether to return eigenvectors.
        search: whether to search for missed pairs. Without, copies may be missed silently, and
            `complete` is False.
        on_progress: called after every operator call. What it raises ends the run.

    Raises:
        InputError: an argument is out of range, or `start` does not fit.
        LandscapeError: a product is not finite.

    Example:
        >>> import torch
        >>> from landscape.core.operators import DenseOperator
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
    first = _start_rows(start, operator) if isinstance(start, Tensor) else None
    capacity = min(basis, n) + max(block, 0 if first is None else len(first))
    run = _Run(
        operator, k, which, tol=tol, block=block, capacity=capacity, budget=budget, seed=seed,
        state=state, on_progress=on_progress,
    )  # fmt: skip
    if state is None and (first is None or run.basis.inject(first) == 0):
        run.basis.inject_random(block)
    return run.solve(vectors, search)


class _Run:
    """One run of `eigenpairs`: the basis, what is wanted of it, and how far it has come."""

    def __init__(
        self,
        operator: SymmetricOperator,
        k: int,
        which: Which,
        *,
        tol: float,
        block: int,
        capacity: int,
        budget: int,
        seed: int,
        state: LanczosState | None,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self.k, self.which, self.tol, self.block, self.budget = k, which, tol, block, budget
        self.basis = KrylovBasis(
            operator, capacity, seed=seed, state=state.basis if state else None
        )
        self.chain = state.chain if state else None
        self.on_progress = on_progress
        self._rayleigh_ritz()

    def solve(self, vectors: bool, search: bool) -> Eigenpairs:
        """Converge, search for missed pairs, and again, until nothing is missing."""
        complete = False
        while self._converge() and search and not complete:
            found = self._search()
            if found is None:
                break
            complete = not found
        if self.chain is not None:
            self._rayleigh_ritz(among=self.chain)  # the chain found nothing: its vectors are noise
        chosen = self.wanted
        return Eigenpairs(
            values=self.theta[chosen],
            residuals=self.residuals[chosen],
            vectors=self.basis.vectors(self.S[:, chosen]) if vectors else None,
            converged=self._all_converged(),
            complete=complete,
            iterations=self.basis.iterations,
            products=self.basis.products,
            tol=self.tol,
        )

    def _rayleigh_ritz(self, among: int | None = None) -> None:
        self.theta, self.S, self.residuals = self.basis.ritz(among)
        self.wanted = _order(self.theta, self.k, self.which)
        scale = float(self.theta.abs().max()) if len(self.theta) else 0.0
        self.allowed = self.tol * scale
        self.fine = self.residuals <= self.allowed

    def _all_converged(self) -> bool:
        return len(self.wanted) == self.k and bool(self.fine[self.wanted].all())

    def _expand(self, count: int) -> None:
        self.basis.expand(min(count, self.basis.pending, self.budget - self.basis.products))
        self._rayleigh_ritz()
        if self.on_progress is not None:
            self.on_progress(
                Progress(
                    values=self.theta[self.wanted],
                    residuals=self.residuals[self.wanted],
                    converged=int(self.fine[self.wanted].sum()),
                    products=self.basis.products,
                    iterations=self.basis.iterations,
                    checking=self.chain is not None,
                    _run=self,
                )
            )

    def _converge(self) -> bool:
        """Expand until the wanted pairs have converged; False if the budget ends first."""
        basis = self.basis
        while not self._all_converged():
            self.chain = None
            if basis.products >= self.budget:
                return False
            if basis.pending == 0 and basis.inject_random(self.block) == 0:
                break  # the basis spans the whole space
            if basis.filled + self.block > basis.capacity:
                self._restart()
            missing = self.wanted[~self.fine[self.wanted]]
            if basis.pending > self.block and len(missing):
                basis.sort_pending(self.S[:, missing])
            self._expand(self.block)
        return True

    def _restart(self) -> None:
        """Keep the wanted Ritz vectors and a share of the next ones, which speed up convergence."""
        room = self.basis.capacity - self.basis.pending - self.block
        kept = self.k + int(KEPT_SHARE * (room - self.k))
        self.basis.restart(self.S[:, _order(self.theta, kept, self.which)])
        self._rayleigh_ritz()

    def _search(self) -> bool | None:
        """Look for a missed pair: True if found, False if excluded, None if undecided."""
        basis = self.basis
        if self.chain is None:
            # Converged pairs alone stay, so that what is left of the operator is nearly
            # decoupled from them and the bound on its eigenvalues holds for the operator.
            best = _order(self.theta, max(self.k, basis.capacity // 2), self.which)
            basis.drop_pending()
            basis.restart(self.S[:, best[self.fine[best]]])
            self._rayleigh_ritz()
            self.chain = basis.expanded
            basis.inject_random(1)
        while self._all_converged():
            chain = basis.tridiagonal(self.chain)
            levels = _levels(self.theta[self.wanted], self.which, self.allowed)
            if basis.pending == 0 or all(
                _excluded(*chain, *level, size=basis.operator.size) for level in levels
            ):
                return False
            if basis.products >= self.budget or basis.filled >= basis.capacity:
                return None
            self._expand(1)
        return True


def _order(theta: Tensor, k: int, which: Which) -> Tensor:
    """Return the indices of the (up to) k wanted ones among ascending values theta (m,)."""
    m = len(theta)
    k = min(k, m)
    if which == "LM":
        return torch.argsort(theta.abs(), descending=True, stable=True)[:k]
    if which == "SA":
        return torch.arange(k)
    falling = torch.arange(m - 1, -1, -1)
    if which == "LA":
        return falling[:k]
    return torch.cat([falling[: k - k // 2], falling[m - k // 2 :]])


def _levels(values: Tensor, which: Which, allowed: float) -> list[tuple[int, float]]:
    """Return (side, level): no eigenvalue mu with side * mu > level may be missing."""
    smallest_large = values[len(values) - len(values) // 2 - 1] if which == "BE" else values[-1]
    ends = {
        "LM": [(1, values[-1].abs()), (-1, values[-1].abs())],
        "LA": [(1, values[-1])],
        "SA": [(-1, -values[-1])],
        "BE": [(1, smallest_large), (-1, -values[len(values) - len(values) // 2 :].max())]
        if len(values) > 1
        else [(1, smallest_large)],
    }
    return [
        (side, float(last) + max(allowed, MISS_MARGIN * abs(float(last))))
        for side, last in ends[which]
    ]


def _excluded(diagonal: Tensor, couplings: Tensor, side: int, level: float, *, size: int) -> bool:
    """Whether the chain of a random vector excludes eigenvalues mu with side * mu > level.

    `diagonal` and `couplings` (j,) are its Lanczos coefficients. A random unit vector of n entries
    has a component below t along a given one with probability at most t sqrt(2n/pi).
    """
    if not len(diagonal):
        return False
    T = torch.diag(side * diagonal) + torch.diag(couplings[:-1], 1) + torch.diag(couplings[:-1], -1)
    distances = level - torch.linalg.eigvalsh(T)
    if bool((distances <= 0).any()):
        return False
    growth = float((distances.log() - couplings.abs().log()).sum())
    return growth >= math.log(math.sqrt(2 * size / math.pi) / MISS_PROBABILITY)


def _dense(
    operator: SymmetricOperator, k: int, which: Which, tol: float, vectors: bool
) -> Eigenpairs:
    """All products at once, for operators of which most eigenpairs are wanted."""
    before = operator.products
    A = finite_product(operator, torch.eye(operator.size, device=operator.device)).double()
    theta, S = torch.linalg.eigh((A + A.T) / 2)
    chosen = _order(theta.cpu(), k, which).to(A.device)
    values, u = theta[chosen], S[:, chosen]
    residuals = torch.linalg.vector_norm(A @ u - u * values, dim=0)
    return Eigenpairs(
        values=values.cpu(),
        residuals=residuals.cpu(),
        vectors=u.to(working_dtype(operator.dtype)) if vectors else None,
        converged=bool((residuals <= tol * theta.abs().max()).all()),
        complete=True,
        iterations=1,
        products=operator.products - before,
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


def _start_rows(start: Tensor, operator: SymmetricOperator) -> Tensor:
    """Return starting vectors (n,) or (n, c) as rows (c, n) in working precision."""
    rows = start.detach().reshape(start.shape[0], -1).T if start.ndim in (1, 2) else start
    if rows.ndim != 2 or rows.shape[1] != operator.size or not rows.shape[0]:
        raise InputError(
            f"start has shape {tuple(start.shape)}; an operator of size {operator.size} starts "
            f"from ({operator.size},) or ({operator.size}, c)."
        )
    if not bool(torch.isfinite(rows).all()):
        raise InputError("start holds NaN or infinite values: give finite vectors, or none.")
    return rows.to(operator.device, working_dtype(operator.dtype))


@dataclass(frozen=True)
class Tridiagonal:
    """Lanczos coefficients of one starting vector, or of c vectors side by side.

    Attributes:
        alpha: diagonal (steps,) or (c, steps), float64.
        beta: off-diagonal (steps - 1,) or (c, steps - 1), float64, not negative.
        norm: length of the starting vector(s), () or (c,).
        basis: orthonormal Lanczos vectors (n, steps) or (c, n, steps), if asked for.
    """

    alpha: Tensor
    beta: Tensor
    norm: Tensor
    basis: Tensor | None


def lanczos(
    operator: SymmetricOperator, steps: int, start: Tensor, *, vectors: bool = False
) -> Tridiagonal:
    """Run the Lanczos recurrence with full reorthogonalisation from one or several vectors.

    With T the tridiagonal matrix of alpha and beta and v the starting vector,
    v^T f(A) v = norm^2 e_1^T f(T) e_1 exactly for polynomials f up to degree 2 steps - 1: the
    Gauss quadrature behind spectral densities and traces (Golub and Welsch 1969; Golub and
    Meurant 1994). Several vectors run side by side, each its own recurrence, sharing one block
    product per step. Memory: c times steps times n values.

    Where a recurrence ends early (its Krylov space is invariant), the rest of its alpha and beta
    is zero and its basis vectors are zero: those nodes have weight zero.

    Args:
        operator: the operator A of size n.
        steps: number of products per vector.
        start: (n,) or (n, c), each column not zero.
        vectors: whether to return the Lanczos vectors.

    Raises:
        InputError: `steps` is less than 1, or `start` does not fit or holds a zero column.
        LandscapeError: a product is not finite.

    Example:
        A tridiagonal matrix met from the first unit vector gives itself back.

        >>> import torch
        >>> from landscape.core.operators import DenseOperator
        >>> A = torch.diag(torch.arange(1.0, 5.0)) + torch.diag(torch.ones(3), 1)
        >>> run = lanczos(DenseOperator(A.triu() + A.triu(1).T), 4, torch.eye(4)[0])
        >>> run.alpha.tolist(), run.beta.tolist()
        ([1.0, 2.0, 3.0, 4.0], [1.0, 1.0, 1.0])
    """
    if steps < 1:
        raise InputError(f"steps={steps} is too few: Lanczos takes at least 1.")
    q = _start_rows(start, operator)
    c, n = q.shape
    norm = torch.linalg.vector_norm(q, dim=1)
    if bool((norm == 0).any()):
        raise InputError("start holds a zero vector: every recurrence needs a direction.")
    q = q / norm[:, None]
    basis = torch.zeros(c, steps, n, dtype=q.dtype, device=q.device)
    alpha = torch.zeros(c, steps, dtype=torch.float64)
    beta = torch.zeros(c, steps, dtype=torch.float64)
    rounding = BREAKDOWN * torch.finfo(q.dtype).eps
    scale = torch.zeros(c, dtype=q.dtype, device=q.device)
    for j in range(steps):
        basis[:, j] = q
        w = finite_product(operator, q.T).T
        scale = torch.maximum(scale, torch.linalg.vector_norm(w, dim=1))
        known = basis[:, : j + 1]
        for _ in range(2):  # twice is enough
            inside = torch.bmm(known, w[:, :, None])
            alpha[:, j] += inside[:, j, 0].double().cpu()
            w = w - torch.bmm(known.mT, inside)[:, :, 0]
        length = torch.linalg.vector_norm(w, dim=1)
        alive = length > rounding * scale
        beta[:, j] = torch.where(alive, length, 0).double().cpu()
        q = torch.where(alive[:, None], w / length.clamp_min(torch.finfo(q.dtype).tiny)[:, None], 0)
    one = start.ndim == 1
    return Tridiagonal(
        alpha=alpha[0] if one else alpha,
        beta=beta[0, :-1] if one else beta[:, :-1],
        norm=(norm[0] if one else norm).double().cpu(),
        basis=(basis[0].T if one else basis.mT) if vectors else None,
    )
