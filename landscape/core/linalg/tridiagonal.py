"""The plain Lanczos recurrence, and what its coefficients prove about the spectrum."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from landscape.core.ambient import under_own_context
from landscape.core.linalg.krylov import BREAKDOWN, finite_product, start_rows
from landscape.core.linalg.reductions import norms, products
from landscape.core.linalg.room import too_little, vectors_that_fit
from landscape.errors import InputError

if TYPE_CHECKING:
    from landscape.core.linalg.operators import SymmetricOperator

__all__ = ["RECURRENCE", "Tridiagonal", "excludes", "lanczos", "tridiagonal_matrix"]

RECURRENCE = 2
"""Vectors that a recurrence keeps without reorthogonalisation."""


@dataclass(frozen=True)
class Tridiagonal:
    """Lanczos coefficients of one starting vector, or of c vectors side by side.

    Attributes:
        alpha: diagonal (steps,) or (c, steps), float64.
        beta: off-diagonal (steps - 1,) or (c, steps - 1), float64, not negative.
        norm: length of the starting vector(s), () or (c,).
        basis: orthonormal Lanczos vectors (n, steps) or (c, n, steps), if asked for.
        coupling: `beta` and the one that couples to a vector beyond, (steps,) or (c, steps): with it,
            residuals of Ritz pairs are known.
    """

    alpha: Tensor
    beta: Tensor
    norm: Tensor
    basis: Tensor | None
    coupling: Tensor = field(default_factory=lambda: torch.zeros(0))


@under_own_context
def lanczos(
    operator: SymmetricOperator,
    steps: int,
    start: Tensor,
    *,
    vectors: bool = False,
    reorthogonalise: bool = True,
    memory_budget: int | None = None,
) -> Tridiagonal:
    """Run the Lanczos recurrence from one or several vectors, by default with full reorthogonalisation.

    With T the tridiagonal matrix of alpha and beta and v the starting vector,
    v^T f(A) v = norm^2 e_1^T f(T) e_1 exactly for polynomials f up to degree 2 steps - 1: the
    Gauss quadrature behind spectral densities and traces (Golub and Welsch 1969; Golub and
    Meurant 1994). Several vectors run side by side, each its own recurrence, sharing one block
    product per step. Memory: c times steps times n values.

    Without reorthogonalisation two vectors of each recurrence are kept, in Paige's (1976) order of the
    operations. Orthogonality is lost as eigenvalues converge, which then come again as copies ("ghosts"). The
    coefficients are still those of an exact run on a larger matrix, whose eigenvalues lie in tiny intervals
    about those of A, where the start has nearly the same weights (Greenbaum 1989): the copies of an
    eigenvalue share its weight, the quadrature stays one of A, and what is lost are the steps they take.

    Where a recurrence ends early (its Krylov space is invariant), the rest of its alpha and beta
    is zero and its basis vectors are zero: those nodes have weight zero.

    Args:
        operator: the operator A of size n.
        steps: number of products per vector.
        start: (n,) or (n, c), each column not zero.
        vectors: whether to return the Lanczos vectors.
        reorthogonalise: whether to keep all vectors, and the new one orthogonal to them.
        memory_budget: bytes that vectors may take; ``None`` takes the free memory less what a product needs.

    Raises:
        InputError: `steps` is less than 1, `start` does not fit or holds a zero column, memory is short, or
            `vectors` are asked for that are not kept.
        LandscapeError: a product is not finite.

    Example:
        A tridiagonal matrix met from the first unit vector gives itself back.

        >>> import torch
        >>> from landscape.core.linalg.operators import DenseOperator
        >>> A = torch.diag(torch.arange(1.0, 5.0)) + torch.diag(torch.ones(3), 1)
        >>> run = lanczos(DenseOperator(A.triu() + A.triu(1).T), 4, torch.eye(4)[0])
        >>> run.alpha.tolist(), run.beta.tolist()
        ([1.0, 2.0, 3.0, 4.0], [1.0, 1.0, 1.0])
    """
    if steps < 1:
        raise InputError(f"steps={steps} is too few: Lanczos takes at least 1.")
    q = start_rows(start, operator)
    c, n = q.shape
    norm = norms(q)
    if bool((norm == 0).any()):
        raise InputError("start holds a zero vector: every recurrence needs a direction.")
    if vectors and not reorthogonalise:
        raise InputError("vectors=True needs all Lanczos vectors: leave reorthogonalise=False out.")
    room = vectors_that_fit(operator, memory_budget)
    each = steps if reorthogonalise else RECURRENCE
    if c * each > room:
        of = f" of {c} vectors each" if c > 1 else ""
        instead = "choose fewer parameters"
        if room >= c and reorthogonalise:
            instead = f"ask for steps={room // c} or fewer"
        raise too_little(operator, c * each, room, f"{steps} Lanczos steps{of} keep", instead)
    q = q / norm[:, None]
    basis = torch.zeros(c, steps if reorthogonalise else 0, n, dtype=q.dtype, device=q.device)
    before = q  # of the step before; the first has none
    alpha = torch.zeros(c, steps, dtype=torch.float64)
    beta = torch.zeros(c, steps, dtype=torch.float64)
    rounding = BREAKDOWN * torch.finfo(q.dtype).eps
    scale = torch.zeros(c, dtype=q.dtype, device=q.device)
    # Vectors that have ended stay zero from then on, so that all c recurrences go in step.
    for j in range(steps):
        w = finite_product(operator, q.T).T
        scale = torch.maximum(scale, norms(w))
        if reorthogonalise:
            basis[:, j] = q
            known = basis[:, : j + 1]
            for _ in range(2):  # twice is enough
                inside = products(known, w[:, :, None].mT)  # of these strides, so that bits stay
                alpha[:, j] += inside[:, j, 0].double().cpu()  # of both passes: the second corrects the first
                w = w - torch.bmm(known.mT, inside)[:, :, 0]
        else:
            if j:
                w = torch.addcmul(w, beta[:, j - 1, None].to(w), before, value=-1)
            inside = products(q[:, None], w[:, None])[:, 0]
            alpha[:, j] = inside[:, 0].double().cpu()
            w = torch.addcmul(w, inside, q, value=-1)
            before = q
        length = norms(w)
        alive = length > rounding * scale
        beta[:, j] = torch.where(alive, length, 0).double().cpu()
        q = torch.where(alive[:, None], w / length.clamp_min(torch.finfo(q.dtype).tiny)[:, None], 0)
    one = start.ndim == 1
    return Tridiagonal(
        alpha=alpha[0] if one else alpha,
        beta=beta[0, :-1] if one else beta[:, :-1],
        norm=(norm[0] if one else norm).double().cpu(),
        basis=(basis[0].T if one else basis.mT) if vectors else None,
        coupling=beta[0] if one else beta,
    )


def tridiagonal_matrix(alpha: Tensor, beta: Tensor) -> Tensor:
    """Return the symmetric matrix (..., j, j) of a diagonal (..., j) and an off-diagonal (..., j - 1)."""
    return torch.diag_embed(alpha) + torch.diag_embed(beta, 1) + torch.diag_embed(beta, -1)


def excludes(alpha: Tensor, beta: Tensor, level: float, *, size: int, probability: float = 1e-3) -> bool:
    """Whether the Lanczos coefficients of a random vector exclude eigenvalues above a level.

    If A u = mu u for a unit vector u, the Lanczos vector q_{j+1} of the unit start q_1 has the
    component (q_1, u) p_j(mu) / (beta_1 ... beta_j) along u, with p_j(mu) = det(mu - T_j), and no
    component of a unit vector exceeds 1. For mu > level, above all eigenvalues of T_j, this
    bounds |(q_1, u)| by t = beta_1 ... beta_j / p_j(level). A uniformly random unit vector of n
    entries has so small a component with probability at most t sqrt(2n / pi).

    Args:
        alpha: diagonal (j,) of T_j.
        beta: off-diagonal (j,), the last entry coupling to q_{j+1}; zero after a breakdown.
        level: eigenvalues above it are to be excluded.
        size: n, the dimension of the space the start is random in.
        probability: of excluding an eigenvalue that exists.

    Example:
        Five products that show nothing above 0.2 settle that nothing lies above 1; four do not.

        >>> [excludes(torch.zeros(j), torch.full((j,), 0.1), 1.0, size=1000) for j in (4, 5)]
        [False, True]
    """
    if not len(alpha):
        return False
    # In logarithms: p_j(level) is a product of j distances and leaves the range of floats.
    distances = level - torch.linalg.eigvalsh(tridiagonal_matrix(alpha, beta[:-1]))
    if bool((distances <= 0).any()):
        return False
    growth = float((distances.log() - beta.abs().log()).sum())
    return growth >= math.log(math.sqrt(2 * size / math.pi) / probability)
