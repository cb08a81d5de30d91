"""Trace, traces of blocks, diagonal and Frobenius norm of an operator known by its products."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Literal, get_args

import torch
from torch import Tensor

from landscape.core.krylov import finite_product, working_dtype
from landscape.core.operators import SymmetricOperator
from landscape.errors import InputError, suggest

__all__ = ["TraceEstimate", "TraceMethod", "estimate_trace"]

TraceMethod = Literal["hutch++", "hutchinson"]

BLOCK = 4  # probes multiplied at a time
LEAST = 12  # samples before their standard error is believed
SKETCH_BYTES = 2**30


@dataclass(frozen=True)
class TraceEstimate:
    """Estimates with standard errors, all from the same products.

    Attributes:
        trace: tr A.
        trace_se: Its standard error; 0 if the trace is exact.
        blocks: Traces of the diagonal blocks (b,), float64; they sum to the trace.
        blocks_se: Their standard errors (b,).
        frobenius: ‖A‖_F.
        frobenius_se: Its standard error; where few eigenvalues dominate what is sampled, two errors cover
            80 to 90 %, since the mean of few squares comes out low together with its error.
        diagonal: The diagonal (n,), float64, if asked for.
        diagonal_se: Its standard errors (n,).
        sketch: Dimension of the subspace in which everything is exact.
        samples: Independent probes of the rest.
        products: Products with single vectors.
        converged: Whether the standard error of the trace reached the target.
    """

    trace: float
    trace_se: float
    blocks: Tensor
    blocks_se: Tensor
    frobenius: float
    frobenius_se: float
    diagonal: Tensor | None
    diagonal_se: Tensor | None
    sketch: int
    samples: int
    products: int
    converged: bool


def estimate_trace(
    operator: SymmetricOperator,
    *,
    method: TraceMethod = "hutch++",
    rel_se: float = 0.02,
    max_products: int = 1000,
    sizes: Sequence[int] | None = None,
    diagonal: bool = False,
    seed: int = 0,
    on_progress: Callable[[float], None] | None = None,
) -> TraceEstimate:
    """Estimate the trace of an operator of size n to a relative standard error.

    ``hutch++`` (Meyer, Musco, Musco and Woodruff 2021) takes the part of A that a sketch
    Q = orth(AΩ) captures exactly, and samples the rest, M = (I − P)A(I − P) with P = QQᵀ:
    tr A = tr QᵀAQ + E ωᵀMω over random signs ω. It pays where few eigenvalues hold much of ‖A‖_F. The
    sketch grows as long as that lowers the expected number of products (Persson, Cortinovis and Kressner
    2022, A-Hutch++). The samples are independent of it and of each other, so that their standard error is
    honest. ``hutchinson`` samples A itself, ωᵀAω.

    The same products give the diagonal, diag(PA + AP − PAP) + E ω∘Mω, hence the traces of diagonal
    blocks, which the layers of a network are (HAWQ, Dong et al. 2020), and
    ‖A‖_F² = 2‖AQ‖_F² − ‖QᵀAQ‖_F² + E ‖Mω‖².

    Samples are added until the standard error is at most ``rel_se`` · |tr A|, at least 12. Where that
    would take n products or more, n products with unit vectors give everything exactly.

    A sketch vector costs two products and 2n values of memory, up to 1 GiB in all; a sample costs one
    product.

    Args:
        operator: A.
        method: ``hutch++`` or ``hutchinson``.
        rel_se: Standard error wanted, relative to the trace.
        max_products: Budget; the best estimate so far is returned when it is used up.
        sizes: Lengths of consecutive diagonal blocks, summing to n; one block by default.
        diagonal: Whether to return the diagonal too.
        seed: Seed of the probes.
        on_progress: Called with the finished fraction, estimated from the error so far.

    Raises:
        InputError: If an argument is out of range.
        LandscapeError: If a product is not finite.

    Example:
        >>> from landscape.core.operators import DenseOperator
        >>> found = estimate_trace(DenseOperator(torch.diag(torch.arange(1.0, 6.0))), sizes=[2, 3])
        >>> found.trace, found.trace_se, found.blocks.tolist()
        (15.0, 0.0, [3.0, 12.0])
    """
    n = operator.size
    sizes = [n] if sizes is None else list(sizes)
    if method not in get_args(TraceMethod):
        raise InputError(f"there is no trace method '{method}'; {suggest(method, get_args(TraceMethod))}")
    if not rel_se > 0:
        raise InputError(f"rel_se={rel_se} is no target: give a positive number, such as 0.02.")
    if sum(sizes) != n or min(sizes) < 0:
        raise InputError(f"the block sizes sum to {sum(sizes)}, not to the operator's {n}.")
    if max_products < LEAST + BLOCK:
        raise InputError(f"max_products={max_products} is too few: allow at least {LEAST + BLOCK}.")
    report = on_progress or (lambda fraction: None)
    run = _Run(operator, sizes, diagonal, seed)
    if method == "hutch++":
        run.grow_sketch(rel_se, max_products)
    run.settle_sketch()
    while True:
        trace, error = run.trace()
        wanted = rel_se * abs(trace)
        if run.samples >= LEAST and error <= wanted:
            break
        missing = max(LEAST - run.samples, 1)
        if error > wanted:
            share = (error / wanted) ** 2 if wanted > 0 else float("inf")
            missing = max(missing, ceil(min(run.samples * (share - 1.0), max_products)))
        if n <= max_products and run.products + missing >= n:
            report(1.0)
            return _exact(operator, sizes, diagonal, run.products)
        count = min(BLOCK, max_products - run.products)
        if count < 1:
            break
        report(run.products / min(run.products + missing, max_products))
        run.add_samples(run.signs(count))
    report(1.0)
    return run.finish(rel_se)


class _Run:
    """A sketch of the operator, then samples of what it misses."""

    def __init__(self, operator: SymmetricOperator, sizes: Sequence[int], diagonal: bool, seed: int) -> None:
        self.operator = operator
        self.sizes = list(sizes)
        self.dtype = working_dtype(operator.dtype)
        self.generator = torch.Generator().manual_seed(seed)
        self.products = self.samples = 0
        n = operator.size
        self.Q = torch.zeros(n, 0, dtype=self.dtype, device=operator.device)
        self.Z = self.Q  # A Q
        self.blocks: list[Tensor] = []
        self.squares: list[Tensor] = []
        self.wants_diagonal = diagonal
        self.sum = torch.zeros(n, dtype=torch.float64, device=operator.device)  # of ω∘Mω
        self.sum_of_squares = torch.zeros_like(self.sum)
        self.known = torch.zeros(n, dtype=self.dtype, device=operator.device)  # its exact diagonal
        self.known_square = 0.0

    def signs(self, count: int) -> Tensor:
        """Random signs (n, count)."""
        bits = torch.randint(0, 2, (self.operator.size, count), generator=self.generator)
        return (2 * bits - 1).to(self.operator.device, self.dtype)

    def multiply(self, V: Tensor) -> Tensor:
        """A V, counted."""
        self.products += V.shape[1]
        return finite_product(self.operator, V)

    def grow_sketch(self, rel_se: float, budget: int) -> None:
        """Add blocks of probes to the sketch as long as that lowers the products still needed.

        Before a block joins, it is an independent sample of what the sketch misses, which tells how many
        samples would be needed now. The block that ends the growth is given up: it was chosen for being
        small, so that it would make the errors too small.
        """
        n = self.operator.size
        most = min(budget // 4, n // 4, SKETCH_BYTES // (2 * n * self.dtype.itemsize))
        before = float("inf")
        while self.Q.shape[1] + BLOCK <= most:
            signs = self.signs(BLOCK)
            image = self.multiply(signs)
            missed = image - self.Z @ (self.Q.T @ signs)
            missed -= self.Q @ (self.Q.T @ missed)
            trace = float((self.Q * self.Z).double().sum() + (signs * missed).double().sum(0).mean())
            variance = 2.0 * float(missed.double().square().sum(0).mean())
            needed = variance / max((rel_se * trace) ** 2, 1e-300)
            total = 2 * self.Q.shape[1] + needed
            if needed <= LEAST or total >= before:
                return
            before = total
            fresh = _orthonormalize(missed, self.Q)
            self.Z = torch.cat([self.Z, self.multiply(fresh)], dim=1)
            self.Q = torch.cat([self.Q, fresh], dim=1)

    def settle_sketch(self) -> None:
        """Work out what the sketch makes exact, and take the first samples of the rest."""
        if self.Q.shape[1]:
            T = self.Q.T @ self.Z
            self.known = (self.Q * (2 * self.Z - self.Q @ T)).sum(1)
            self.known_square = float(2 * self.Z.double().square().sum() - T.double().square().sum())
        self.Z = self.Z[:, :0]
        self.add_samples(self.signs(BLOCK))

    def add_samples(self, signs: Tensor) -> None:
        """Sample the rest with random signs ω, (n, c)."""
        image = self.multiply(signs - self.Q @ (self.Q.T @ signs))
        image -= self.Q @ (self.Q.T @ image)  # Mω
        self.squares.append(image.double().square().sum(0).cpu())
        entries = signs * image
        self.blocks.append(_sums(entries, self.sizes))
        self.samples += entries.shape[1]
        self.sum += entries.double().sum(1)
        self.sum_of_squares += entries.double().square().sum(1)

    def entry_variances(self) -> Tensor:
        """Variance over probes of each entry of ω∘Mω, (n,), enlarged as in `_mean_and_error`."""
        g = self.samples
        spread = (self.sum_of_squares / g - (self.sum / g).square()).clamp_min(0)
        return spread * (g / (g - 1) * _enlarged(g) ** 2)

    def trace(self) -> tuple[float, float]:
        """The trace so far and its standard error.

        Random signs have Var ωᵀMω = 2 Σ_{i≠j} M_ij² = 2 Σ_i Var ω_i(Mω)_i. The sum over entries is known
        far better than the variance of the few ωᵀMω, whose distribution has a heavy tail where one
        eigenvalue dominates M.
        """
        mean = torch.cat(self.blocks, dim=1).mean(1).sum()
        variance = 2.0 * float(self.entry_variances().sum())
        return float(self.known.double().sum().cpu() + mean), (variance / self.samples) ** 0.5

    def finish(self, rel_se: float) -> TraceEstimate:
        """All estimates from the products so far."""
        trace, trace_se = self.trace()
        variances = self.entry_variances()
        means, errors = _mean_and_error(torch.cat(self.blocks, dim=1))
        blocks = _sums(self.known[:, None], self.sizes)[:, 0] + means
        # entries of one block are not negatively correlated, so this is the least their sum can have
        least = _sums(variances[:, None], self.sizes)[:, 0] / self.samples
        square, square_se = (float(v) for v in _mean_and_error(torch.cat(self.squares)))
        frobenius = (square + self.known_square) ** 0.5
        diagonal = diagonal_se = None
        if self.wants_diagonal:
            diagonal = (self.known + self.sum / self.samples).cpu()
            diagonal_se = (variances / self.samples).sqrt().cpu()
        return TraceEstimate(
            trace=trace,
            trace_se=trace_se,
            blocks=blocks,
            blocks_se=torch.maximum(errors, least.sqrt()),
            frobenius=frobenius,
            frobenius_se=square_se / (2 * frobenius) if frobenius else square_se,
            diagonal=diagonal,
            diagonal_se=diagonal_se,
            sketch=self.Q.shape[1],
            samples=self.samples,
            products=self.products,
            converged=self.samples >= LEAST and trace_se <= rel_se * abs(trace),
        )


def _orthonormalize(Y: Tensor, Q: Tensor) -> Tensor:
    """Orthonormal columns, orthogonal to Q, whose span with Q holds Y.

    Once more than "twice is enough", since Y may be rounding alone.
    """
    for _ in range(3):
        Y = torch.linalg.qr(Y - Q @ (Q.T @ Y)).Q
    return Y


def _sums(entries: Tensor, sizes: Sequence[int]) -> Tensor:
    """Sums over consecutive rows (b, k) of entries (n, k), float64."""
    return torch.stack([part.double().sum(0).cpu() for part in torch.split(entries, list(sizes))])


def _mean_and_error(samples: Tensor) -> tuple[Tensor, Tensor]:
    """Mean over the last axis and its standard error.

    The error is enlarged by √((g − 1)/(g − 3)) for g samples, which makes (mean − truth)/error a variable
    of variance 1 (Student's t has (g − 1)/(g − 3)), so that two errors cover what is expected of them.
    """
    g = samples.shape[-1]
    return samples.mean(-1), samples.std(-1) * _enlarged(g) / g**0.5


def _enlarged(g: int) -> float:
    return ((g - 1) / (g - 3)) ** 0.5 if g > 3 else float("inf")


def _exact(
    operator: SymmetricOperator, sizes: Sequence[int], diagonal: bool, spent: int, block: int = 64
) -> TraceEstimate:
    """Everything without error, from products with all unit vectors."""
    n, dtype = operator.size, working_dtype(operator.dtype)
    entries = torch.zeros(n, dtype=torch.float64)
    square = 0.0
    for start in range(0, n, block):
        rows = torch.arange(start, min(start + block, n))
        columns = torch.arange(len(rows))
        E = torch.zeros(n, len(rows), dtype=dtype, device=operator.device)
        E[rows, columns] = 1.0
        image = finite_product(operator, E)
        entries[rows] = image[rows, columns].double().cpu()
        square += float(image.double().square().sum())
    blocks = _sums(entries[:, None], sizes)[:, 0]
    zeros = torch.zeros_like(entries)
    return TraceEstimate(
        trace=float(blocks.sum()),
        trace_se=0.0,
        blocks=blocks,
        blocks_se=torch.zeros_like(blocks),
        frobenius=square**0.5,
        frobenius_se=0.0,
        diagonal=entries if diagonal else None,
        diagonal_se=zeros if diagonal else None,
        sketch=n,
        samples=0,
        products=spent + n,
        converged=True,
    )
