"""Linear systems and determinants of operators: conjugate gradients, MINRES, and ln det by quadrature."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from landscape.core.ambient import under_own_context
from landscape.core.linalg.krylov import finite_product, working_dtype
from landscape.core.linalg.operators import SymmetricOperator
from landscape.core.linalg.psd_quadrature import psd_quadrature
from landscape.core.linalg.reductions import inner_product, length
from landscape.core.stats.intervals import reach
from landscape.errors import InputError

__all__ = ["LogDet", "Solution", "logdet", "solve"]


@dataclass(frozen=True)
class Solution:
    """x with (A + αI) x ≈ b.

    Attributes:
        x: The solution (n,).
        residual: ‖b − (A + αI) x‖ / ‖b‖, by a product of its own at the end.
        error: Largest possible ‖x* − x‖ of a positive semi-definite A, the residual's norm over α; NaN where
            α = 0 or the iteration met a negative direction.
        iterations: Steps.
        products: Products with single vectors.
        converged: Whether the residual is within the tolerance.
        verdict: How it ended, in a sentence.
    """

    x: Tensor
    residual: float
    error: float
    iterations: int
    products: int
    converged: bool
    verdict: str


@under_own_context
def solve(
    operator: SymmetricOperator,
    b: Tensor,
    *,
    damping: float = 0.0,
    method: Literal["cg", "minres"] = "cg",
    preconditioner: SymmetricOperator | None = None,
    tol: float = 1e-6,
    max_iterations: int | None = None,
    on_progress: Callable[[float], None] = lambda fraction: None,
) -> Solution:
    """Solve (A + αI) x = b with products of A alone.

    Conjugate gradients (Hestenes & Stiefel 1952) for positive definite matrices, such as G + αI; MINRES
    (Paige & Saunders 1975) for indefinite ones, such as a Hessian. One product for each step, one at the end.

    Args:
        operator: A, of size n.
        b: The right side (n,).
        damping: α ≥ 0, in the unit of the eigenvalues.
        method: Which.
        preconditioner: A positive definite operator near (A + αI)⁻¹, such as ``kfac(problem).inverse(α)``;
            of conjugate gradients.
        tol: Residual asked for, relative to ‖b‖.
        max_iterations: Most steps; default: ten times n, at most 1000.
        on_progress: Called with the finished fraction, by the digits of the residual.

    Raises:
        InputError: If an argument is out of range, or conjugate gradients meet a negative direction.
        LandscapeError: If a product is not finite.

    Example:
        >>> from landscape.core.linalg.operators import DenseOperator
        >>> found = solve(DenseOperator(torch.diag(torch.tensor([1.0, 3.0]))), torch.ones(2), damping=1.0)
        >>> [round(v, 6) for v in found.x.tolist()], found.iterations
        ([0.5, 0.25], 2)
    """
    _check(operator, b, damping, method, preconditioner, tol, max_iterations)
    rhs = b.detach().to(operator.device, working_dtype(operator.dtype))
    size = length(rhs)
    before = operator.products
    most = max_iterations or min(10 * operator.size, 1000)

    def product(v: Tensor) -> Tensor:
        return finite_product(operator, v[:, None])[:, 0] + damping * v

    def report(norm: float) -> None:
        on_progress(min(1.0, math.log(max(norm / size, tol)) / math.log(tol)) if tol < 1 else 1.0)

    if size == 0.0:
        return Solution(rhs, 0.0, 0.0, 0, 0, True, "the right side is zero, and so is the solution")
    if method == "cg":
        x, steps = _cg(product, rhs, preconditioner, tol * size, most, report)
        negative = False
    else:
        x, steps, negative = _minres(product, rhs, tol * size, most, report)
    norm = length(rhs - product(x))
    converged = norm <= 1.5 * tol * size  # the recurrence's own norm drifts from it by rounding
    how = f"a residual of {norm / size:.1e} after {steps} steps"
    verdict = (
        f"solved: {how}" if converged else f"not solved to {tol:g}: {how}; allow more steps or more damping"
    )
    if negative:
        verdict += (
            "; the matrix is indefinite: for x to be where a quadratic is least, damping must exceed |λ_min|"
        )
    error = norm / damping if damping and not negative else float("nan")
    return Solution(x, norm / size, error, steps, operator.products - before, converged, verdict)


Product = Callable[[Tensor], Tensor]


def _cg(
    product: Product,
    b: Tensor,
    preconditioner: SymmetricOperator | None,
    target: float,
    most: int,
    report: Callable[[float], None],
) -> tuple[Tensor, int]:
    x, r = torch.zeros_like(b), b.clone()
    z = r if preconditioner is None else (preconditioner @ r).to(b)
    p, rho = z.clone(), inner_product(r, z)
    for step in range(1, most + 1):
        if rho <= 0:
            raise InputError("the preconditioner is not positive definite; give it a damping.")
        Ap = product(p)
        curvature = inner_product(p, Ap)
        if curvature <= 0:
            raise InputError(
                f"conjugate gradients met a direction of curvature {curvature / inner_product(p, p):.3g}: the"
                " damping must exceed |λ_min| of the matrix, or take method='minres'."
            )
        alpha = rho / curvature
        x += alpha * p
        r -= alpha * Ap
        norm = length(r)
        report(norm)
        if norm <= target:
            return x, step
        z = r if preconditioner is None else (preconditioner @ r).to(b)
        rho, last = inner_product(r, z), rho
        p = z + rho / last * p
    return x, most


def _minres(
    product: Product, b: Tensor, target: float, most: int, report: Callable[[float], None]
) -> tuple[Tensor, int, bool]:
    """The residual of least norm in the Krylov space, by QR of the Lanczos matrix, and the sign of that."""
    beta = length(b)
    v, before = b / beta, torch.zeros_like(b)
    x, w, w2 = torch.zeros_like(b), torch.zeros_like(b), torch.zeros_like(b)
    phi, eta = beta, 0.0  # the residual; the coupling
    c, s, c2, s2 = 1.0, 0.0, 1.0, 0.0  # the last rotation and the one before
    alphas: list[float] = []
    betas: list[float] = []
    for _ in range(most):
        u = product(v) - eta * before
        alpha = inner_product(v, u)
        u = u - alpha * v
        following = length(u)
        alphas.append(alpha)
        betas.append(following)
        epsilon, delta = s2 * eta, c2 * eta
        delta, gamma = c * delta + s * alpha, -s * delta + c * alpha
        rho = math.hypot(gamma, following)
        if rho == 0.0:
            break
        c2, s2 = c, s
        c, s = gamma / rho, following / rho
        w, w2 = (v - delta * w - epsilon * w2) / rho, w
        x = x + c * phi * w
        phi = -s * phi
        report(abs(phi))
        if abs(phi) <= target or following <= torch.finfo(b.dtype).eps * abs(alpha):
            break
        before, v, eta = v, u / following, following
    ritz = np.linalg.eigvalsh(np.diag(alphas) + np.diag(betas[:-1], 1) + np.diag(betas[:-1], -1))
    return x, len(alphas), bool(ritz[0] < -1e-6 * np.abs(ritz).max())


def _check(
    operator: Any, b: Any, damping: float, method: str, preconditioner: Any, tol: float, most: int | None
) -> None:
    if not isinstance(operator, SymmetricOperator):
        raise InputError(f"solve takes an operator, such as ggn(problem); got a {type(operator).__name__}.")
    if not isinstance(b, Tensor) or b.shape != (operator.size,):
        got = tuple(b.shape) if isinstance(b, Tensor) else type(b).__name__
        raise InputError(f"the right side must be a vector of shape ({operator.size},); got {got}.")
    if not bool(b.isfinite().all()):
        raise InputError("the right side holds NaN or infinity.")
    if not (damping >= 0 and math.isfinite(damping)):
        raise InputError(f"the damping must be a number that is not negative; got {damping}.")
    if method not in ("cg", "minres"):
        raise InputError(f"there is no method '{method}'; known: cg, minres.")
    if not 0 < tol < 1 or (most is not None and most < 1):
        raise InputError(
            f"tol must lie between 0 and 1 and max_iterations be positive; got {tol} and {most}."
        )
    if preconditioner is None:
        return
    if method == "minres":
        raise InputError("a preconditioner is for method='cg'.")
    if preconditioner.size != operator.size:
        raise InputError(f"a preconditioner of size {preconditioner.size} does not fit {operator.size}.")


@dataclass(frozen=True)
class LogDet:
    """Ln det(A + αI), in nats.

    Attributes:
        value: The middle of the bracket.
        error: Standard error over probes; 0 if exact, NaN for one probe.
        low: Lower end of what the steps leave open, for these probes.
        high: Upper end.
        interval: A 95 % interval: the bracket and the error.
        products: Products with single vectors.
    """

    value: float
    error: float
    low: float
    high: float
    interval: tuple[float, float]
    products: int


@under_own_context
def logdet(
    operator: SymmetricOperator,
    *,
    damping: float,
    probes: int = 8,
    steps: int = 30,
    seed: int = 0,
    on_progress: Callable[[float], None] = lambda fraction: None,
) -> LogDet:
    """Estimate ln det(A + αI) = n ln α + Σ ln(1 + λ/α) of a positive semi-definite A of size n.

    Stochastic Lanczos quadrature, whose Gauss and Gauss-Radau rules bracket each probe (Golub & Meurant
    1994; Ubaru, Chen & Saad 2017). Costs probes · steps products; a matrix of no more than probes · steps
    rows is diagonalised instead. KFAC has its own, exact ``logdet``.

    Args:
        operator: A.
        damping: α > 0, in the unit of the eigenvalues.
        probes: Number of probes.
        steps: Lanczos steps per probe.
        seed: Seed of the probes.
        on_progress: Called with the finished fraction.

    Raises:
        InputError: If an argument is out of range, or A has negative eigenvalues.
        LandscapeError: If a product is not finite.

    Example:
        >>> from landscape.core.linalg.operators import DenseOperator
        >>> found = logdet(DenseOperator(torch.diag(torch.tensor([3.0, 0.0]))), damping=1.0)
        >>> round(found.value, 6), found.error  # ln 4
        (1.386294, 0.0)
    """
    if not isinstance(operator, SymmetricOperator):
        raise InputError(f"logdet takes an operator, such as ggn(problem); got a {type(operator).__name__}.")
    if not (damping > 0 and math.isfinite(damping)):
        raise InputError(f"ln det needs a damping above 0; got {damping}.")
    before, n = operator.products, operator.size
    if probes >= 1 and steps >= 1 and n <= probes * steps:
        values = torch.linalg.eigvalsh(operator.dense().double()).cpu().numpy()
        if values[0] < -1e-4 * abs(values[-1]):
            raise _indefinite()
        value = float(np.log(np.maximum(values, 0.0) + damping).sum())
        return LogDet(value, 0.0, value, value, (value, value), operator.products - before)
    none = torch.zeros(0), torch.zeros(n, 0)
    rules = psd_quadrature(operator, *none, probes=probes, steps=steps, seed=seed, on_progress=on_progress)
    if not rules.defined:
        raise _indefinite()
    found = rules.sum(lambda x: np.log1p(x / damping))
    base = n * math.log(damping)
    # where the steps resolve all, the two rules agree but for rounding, in either order
    low, high = sorted((base + float(found.lower[0]), base + float(found.upper[0])))
    error = float(found.error[0])
    half = reach(probes) * error
    return LogDet((low + high) / 2, error, low, high, (low - half, high + half), operator.products - before)


def _indefinite() -> InputError:
    return InputError(
        "ln det is of a positive semi-definite matrix, and this one has negative eigenvalues: take ggn"
        " instead of the Hessian."
    )
