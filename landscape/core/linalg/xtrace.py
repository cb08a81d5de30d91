"""XTrace: the trace of an operator from the fewest products, each probe left out in turn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from landscape.core.ambient import under_own_context
from landscape.core.linalg.krylov import BREAKDOWN, finite_product, working_dtype
from landscape.core.linalg.operators import SymmetricOperator
from landscape.core.linalg.reductions import orthonormalise, summed
from landscape.core.linalg.reductions import products as row_products
from landscape.errors import InputError

__all__ = ["LeftOut", "XTrace", "leave_one_out", "low_rank", "xtrace"]

BLOCK = 8


@dataclass(frozen=True)
class XTrace:
    """An estimate of a trace.

    Attributes:
        trace: The estimate.
        error: Its standard error; 0 if exact.
        products: Products with single vectors.
    """

    trace: float
    error: float
    products: int


@under_own_context
def xtrace(
    operator: SymmetricOperator,
    *,
    products: int = 60,
    seed: int = 0,
    on_progress: Callable[[float], None] = lambda fraction: None,
) -> XTrace:
    """Estimate the trace of an operator of size n by XTrace (Epperly, Tropp & Webber 2024, section 2.1).

    Every Gaussian probe is used twice: to find the large eigenvalues, and to sample what the others leave of
    the matrix. With Qᵢ a basis of the products of all probes but the i-th,

        tᵢ = tr QᵢᵀAQᵢ + (n − k + 1) μᵀAμ/‖μ‖²,  μ = (I − QᵢQᵢᵀ) ωᵢ,

    is unbiased for each i, and their mean is the estimate. Where eigenvalues fall fast it needs fewer
    products than Hutch++; it is of a given budget, and keeps 2 k vectors of n entries. The tᵢ share probes:
    their spread over √k is too small, by a third where eigenvalues fall fast, while the jackknife's error
    (what k − 1 probes would have given, each left out), whose expected square is no less than the variance
    (Efron & Stein 1981), is too large by as much and more. The error is the geometric mean of the two;
    intervals of 2 or Student's number of them held 93 to 99 % of the traces of six kinds of spectra.

    Args:
        operator: A, of size n.
        products: Budget, at least 8; half of it is k. A of no more rows is multiplied with unit vectors.
        seed: Seed of the probes.
        on_progress: Called with the finished fraction.

    Raises:
        InputError: If the budget is too small.
        LandscapeError: If a product is not finite.

    Example:
        >>> from landscape.core.linalg.operators import DenseOperator
        >>> xtrace(DenseOperator(torch.diag(torch.arange(1.0, 6.0)))).trace
        15.0
    """
    if products < 8:
        raise InputError(f"XTrace needs products >= 8; got {products}.")
    n, done = operator.size, 0
    dtype = working_dtype(operator.dtype)
    total = n if n <= products else 2 * (products // 2)

    def times(V: Tensor) -> Tensor:
        nonlocal done
        parts = []
        for piece in torch.split(V, BLOCK, 1):
            parts.append(finite_product(operator, piece))
            done += piece.shape[1]
            on_progress(done / total)
        return torch.cat(parts, 1)

    if n <= products:
        exact = times(torch.eye(n, dtype=dtype, device=operator.device))
        return XTrace(float(exact.diagonal().double().sum()), 0.0, n)
    k = products // 2
    draw = torch.Generator().manual_seed(seed)
    omega = torch.randn(n, k, generator=draw).to(operator.device, dtype)
    Y = times(omega)
    Q, R = orthonormalise(Y)
    Z = times(Q)
    if low_rank(R):
        # of lower rank than probes: Q has all of its range, and nothing is left to sample
        return XTrace(float((Q * Z).double().sum()), 0.0, total)
    found = leave_one_out(omega, Y, Q, R, Z)
    return XTrace(float(found.t.mean()), found.error, total)


@dataclass(frozen=True)
class LeftOut:
    """What each probe gives where the others' products are the basis; all in float64 on the CPU.

    Attributes:
        t: The estimates of the trace (k,).
        error: Standard error of their mean.
        S: In column i the direction in Q that the others' products do not have (k, k).
        P: In column i the coordinates in Q of QᵢQᵢᵀωᵢ (k, k).
        H: QᵀAQ (k, k).
        weights: (n − k + 1)/‖μᵢ‖², what the rest is multiplied by (k,).
    """

    t: Tensor
    error: float
    S: Tensor
    P: Tensor
    H: Tensor
    weights: Tensor


def low_rank(R: Tensor) -> bool:
    """Whether products have fewer dimensions than probes, but for rounding, whatever their length."""
    size = R.diagonal().abs()
    return float(size.min()) <= BREAKDOWN * torch.finfo(R.dtype).eps * float(size.max())


def leave_one_out(omega: Tensor, Y: Tensor, Q: Tensor, R: Tensor, Z: Tensor) -> LeftOut:
    """The estimates of all probes, each by the basis of the others' products.

    Args:
        omega: Gaussian probes (n, k).
        Y: Their products (n, k).
        Q: Orthonormal basis of the products (n, k).
        R: QᵀY, upper triangular (k, k).
        Z: Products of Q (n, k).
    """
    n, k = omega.shape
    H, W, V = (row_products(Q.T, M.T).double().cpu() for M in (Z, omega, Y))
    H = (H + H.T) / 2
    S = torch.linalg.solve_triangular(R.double().cpu().T, torch.eye(k, dtype=torch.float64), upper=False)
    S = S / S.norm(dim=0)
    P = W - S * (S * W).sum(0)
    squares, products = (_column_sums(omega, other) for other in (omega, Y))
    rest = products - 2 * (P * V).sum(0) + (P * (H @ P)).sum(0)
    weights = (n - k + 1) / (squares - (P**2).sum(0))
    t = H.trace() - (S * (H @ S)).sum(0) + weights * rest
    spread = float(t.std() / k**0.5)
    error = (spread * _jackknife(n, H, W, V, S, squares, products)) ** 0.5
    return LeftOut(t, error, S, P, H, weights)


def _column_sums(a: Tensor, b: Tensor) -> Tensor:
    """Inner products of columns, in float64 without a copy of all."""
    return summed(lambda *part: (part[0].double() * part[1].double()).sum(0), a, b).cpu()


def _jackknife(
    n: int, H: Tensor, W: Tensor, V: Tensor, S: Tensor, squares: Tensor, products: Tensor
) -> float:
    """The jackknife's standard error of the mean of all tᵢ: the estimate of k − 1 probes, each left out.

    The basis without the probes i and j is Q but for the plane of the columns sᵢ and sⱼ, so that all of it
    is done in k dimensions, without a product.
    """
    k = len(H)
    own = torch.arange(k)
    G, A, B, C, D = S.T @ S, S.T @ H @ S, S.T @ W, S.T @ V, S.T @ (H @ W)
    first = {name: M[own, own][:, None] for name, M in (("A", A), ("B", B), ("C", C), ("D", D))}
    slant = (1 - G**2).clamp_min(torch.finfo(torch.float64).eps).sqrt()
    # [i, j]: along sᵢ, and along the part of sⱼ across it.
    b2, c2, d2 = ((M.T - G * first[name]) / slant for name, M in (("B", B), ("C", C), ("D", D)))
    a12 = (A - G * first["A"]) / slant
    a22 = (A[own, own][None] - 2 * G * A + G**2 * first["A"]) / slant**2
    b1 = first["B"]
    left = squares[:, None] - ((W**2).sum(0)[:, None] - b1**2 - b2**2)
    cross = (W * V).sum(0)[:, None] - b1 * first["C"] - b2 * c2
    inner = (W * (H @ W)).sum(0)[:, None] - 2 * (b1 * first["D"] + b2 * d2)
    inner = inner + b1**2 * first["A"] + 2 * b1 * b2 * a12 + b2**2 * a22
    t = H.trace() - first["A"] - a22 + (n - k + 2) * (products[:, None] - 2 * cross + inner) / left
    without = t.fill_diagonal_(0.0).sum(0) / (k - 1)
    return float(((k - 1) * without.var(correction=0)).sqrt())
