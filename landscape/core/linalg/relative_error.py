"""How far approximations of a matrix are from it, in the Frobenius norm, by products alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from landscape.core.ambient import under_own_context
from landscape.core.linalg.hutchinson import mean_and_error, random_signs
from landscape.core.linalg.krylov import finite_product, working_dtype
from landscape.core.linalg.operators import SymmetricOperator
from landscape.core.linalg.reductions import orthonormalise, project_out
from landscape.errors import InputError

__all__ = ["RelativeError", "relative_errors"]

BLOCK = 8


@dataclass(frozen=True)
class RelativeError:
    """‖A − Â‖_F / ‖A‖_F; NaN where A is zero.

    Attributes:
        value: The ratio.
        error: Its standard error over probes; 0 if exact.
    """

    value: float
    error: float


@under_own_context
def relative_errors(
    operator: SymmetricOperator,
    approximations: Mapping[str, SymmetricOperator],
    *,
    sketch: int = 8,
    probes: int = 16,
    seed: int = 0,
    on_progress: Callable[[float], None] = lambda fraction: None,
) -> dict[str, RelativeError]:
    """Relative errors of approximations Â of A, all by the same products with A.

    With D = A − Â, Q = orth(AΩ) of a random Ω and P = QQᵀ, for X = A and X = D alike

        ‖X‖_F² = 2 ‖XQ‖_F² − ‖QᵀXQ‖_F² + E ‖(I − P) X (I − P) ω‖²,

    the first two exact and the last sampled with signs ω. The numerator and the denominator see the same
    probes, so that the error of their ratio is that of the difference of their relative deviations. A of
    no more than 2 · sketch + probes rows is multiplied with the unit vectors instead.

    Args:
        operator: A, of size n.
        approximations: Those that are judged, by name, of the same size; their products are taken as free.
        sketch: Columns of Ω, two products each.
        probes: Signs, at least 6, one product each.
        seed: Seed of both.
        on_progress: Called with the finished fraction.

    Raises:
        InputError: If a size or a count is wrong.
        LandscapeError: If a product is not finite.

    Example:
        >>> from landscape.core.linalg.operators import DenseOperator
        >>> A, B = DenseOperator(torch.diag(torch.tensor([3.0, 4.0]))), DenseOperator(3 * torch.eye(2))
        >>> relative_errors(A, {"B": B})["B"].value  # 1 of 5
        0.2
    """
    n = operator.size
    if sketch < 0 or probes < 6:
        raise InputError(f"relative errors need sketch >= 0 and probes >= 6; got {sketch} and {probes}.")
    for name, other in approximations.items():
        if other.size != n:
            raise InputError(f"the approximation '{name}' has size {other.size}, not {n}.")
    total = n if n <= 2 * sketch + probes else 2 * sketch + probes
    done = 0

    def products(V: Tensor) -> dict[str, Tensor]:
        """Products of A under no name, and of the differences."""
        nonlocal done
        parts = []
        for piece in torch.split(V, BLOCK, 1):
            parts.append(finite_product(operator, piece))
            done += piece.shape[1]
            on_progress(done / total)
        found = {"": torch.cat(parts, 1)}
        for name, other in approximations.items():
            pieces = zip(parts, torch.split(V, BLOCK, 1), strict=True)
            found[name] = torch.cat([part - (other @ piece).to(part) for part, piece in pieces], 1)
        return found

    like = torch.empty(0, dtype=working_dtype(operator.dtype), device=operator.device)
    if n <= 2 * sketch + probes:
        squares = {name: _square(X) for name, X in products(torch.eye(n).to(like)).items()}
        return {name: _exact(squares[name], squares[""]) for name in approximations}
    draw = torch.Generator().manual_seed(seed)
    Q = torch.zeros(n, 0).to(like)
    known = dict.fromkeys(("", *approximations), 0.0)
    if sketch:
        Q, _ = orthonormalise(products(torch.randn(n, sketch, generator=draw).to(like))[""])
        for name, XQ in products(Q).items():
            known[name] = 2 * _square(XQ) - _square(Q.T @ XQ)
    W = project_out(Q, random_signs(n, probes, draw, like))
    samples = {name: project_out(Q, X).double().square().sum(0).cpu() for name, X in products(W).items()}
    return {name: _ratio(known[name] + samples[name], known[""] + samples[""]) for name in approximations}


def _square(X: Tensor) -> float:
    return float(X.double().square().sum())


def _exact(above: float, below: float) -> RelativeError:
    return RelativeError((above / below) ** 0.5 if below else float("nan"), 0.0)


def _ratio(above: Tensor, below: Tensor) -> RelativeError:
    """Root of the ratio of two means, from their samples."""
    a, b = float(above.mean()), float(below.mean())
    if a <= 0.0 or b <= 0.0:
        return _exact(max(a, 0.0), b)
    value = (a / b) ** 0.5
    _, error = mean_and_error(above / a - below / b)
    return RelativeError(value, 0.5 * value * float(error))
