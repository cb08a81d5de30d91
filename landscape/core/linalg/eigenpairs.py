"""Extreme eigenpairs of symmetric operators: by thick-restart block Lanczos, or of the whole matrix."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, get_args

import torch
from torch import Tensor

from landscape.core.ambient import under_own_context
from landscape.core.linalg.krylov import (
    BREAKDOWN,
    KrylovBasis,
    check_product,
    start_rows,
    working_dtype,
)
from landscape.core.linalg.room import too_little, vectors_that_fit
from landscape.core.linalg.selection import Which, rank_requested
from landscape.core.linalg.thick_restart import Eigenpairs, EigenProgress, LanczosState, ThickRestart
from landscape.core.linalg.tridiagonal import Tridiagonal, lanczos
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

BASIS_BYTES = 256 * 2**20  # what basis vectors take unless told otherwise
LEAST_FREE = 10  # basis vectors beside the k pairs: with fewer, restarts forget too much
DENSE_BLOCK = 64  # unit vectors multiplied at a time where the whole matrix is formed


@under_own_context
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
    memory_budget: int | None = None,
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
    256 MiB, but at least max(2k, k + 20) vectors and at most 2k + 100. Where these do not fit into memory it
    is smaller, down to k + 10, which takes more products; below that nothing is begun.

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
        memory_budget: bytes that vectors may take; ``None`` takes the free memory less what a product needs.
        on_progress: called after every operator call. What it raises ends the run.

    Raises:
        InputError: an argument is out of range, `start` does not fit, or memory is too small.
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
    # Below this no residual can fall: the basis drops directions of that size as rounding.
    tol = max(tol, BREAKDOWN * torch.finfo(working_dtype(operator.dtype)).eps)
    # A basis of 2k vectors would hold the whole space, so that n products with unit vectors do, exactly.
    if 2 * k >= n and budget >= n and not isinstance(start, LanczosState):
        return _dense(operator, k, which, tol, vectors)
    least = max(2 * k, k + 20)
    if basis is None:
        bytes_each = n * working_dtype(operator.dtype).itemsize
        basis = min(max(least, BASIS_BYTES // bytes_each), 2 * k + 100)
    # The pairs kept at a restart, a block to multiply, and the one that waits afterwards.
    elif basis < k + 2 * block:
        raise InputError(f"basis={basis} is too small: k + 2 block = {k + 2 * block} at least.")
    state = start if isinstance(start, LanczosState) else None
    first = start_rows(start, operator) if isinstance(start, Tensor) else None
    # A full basis keeps its pending block, the way on: that comes on top.
    pending = max(block, 0 if first is None else len(first))
    capacity = min(basis, n) + pending
    if state is not None and state.basis.capacity:
        capacity = state.basis.capacity
    least = min(capacity, k + max(LEAST_FREE, 2 * block) + pending)
    if state is not None:
        least = max(least, len(state.basis.rows))
    returned = k if vectors else 0
    room = vectors_that_fit(operator, memory_budget) - returned
    if room < least:
        most = (room + returned - (least - k)) // (2 if vectors else 1)
        instead = f"ask for k={most} or fewer" if most > 0 else "choose fewer parameters"
        raise too_little(
            operator, least + returned, room + returned, f"k={k} eigenpairs keep at least", instead
        )
    capacity = min(capacity, room)
    krylov = KrylovBasis(operator, capacity, seed=seed, state=state.basis if state else None)
    # A start that is zero, or all of whose columns are, says nothing: begin at random.
    if state is None and (first is None or krylov.inject(first) == 0):
        krylov.inject_random(block)
    run = ThickRestart(krylov, k, which, tol, block, budget, on_progress)
    if state is not None:
        run.chain, run.settled, run.scale = state.chain, state.settled, state.scale
    return run.solve(vectors, search)


def _dense(operator: SymmetricOperator, k: int, which: Which, tol: float, vectors: bool) -> Eigenpairs:
    """All products at once, for operators of which most eigenpairs are requested."""
    A = operator.dense(DENSE_BLOCK).double()
    check_product(A, operator)
    theta, S = torch.linalg.eigh((A + A.T) / 2)  # residuals below are of A itself, asymmetry included
    chosen = rank_requested(theta.cpu(), k, which).to(A.device)
    values, u = theta[chosen], S[:, chosen]
    residuals = torch.linalg.vector_norm(A @ u - u * values, dim=0)
    scale = float(theta.abs().max())
    return Eigenpairs(
        values=values.cpu(),
        residuals=residuals.cpu(),
        vectors=u.to(working_dtype(operator.dtype)) if vectors else None,
        converged=bool((residuals <= tol * scale).all()),
        complete=True,
        iterations=math.ceil(operator.size / DENSE_BLOCK),
        products=operator.size,
        tol=tol,
        scale=scale,
        rounding=torch.finfo(working_dtype(operator.dtype)).eps * scale,
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
