"""Trace, traces of blocks, diagonal and Frobenius norm of an operator known by its products."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import Literal, get_args

import torch
from torch import Tensor

from landscape.core.ambient import under_own_context
from landscape.core.linalg.adaptive_xtrace import LEAST_VECTORS, adaptive_xtrace
from landscape.core.linalg.hutchinson import HutchinsonSampler, TraceEstimate, block_sums, random_signs
from landscape.core.linalg.krylov import finite_product, working_dtype
from landscape.core.linalg.operators import SymmetricOperator
from landscape.core.linalg.reductions import orthonormalise, products, project_out, summed
from landscape.core.linalg.room import vectors_that_fit
from landscape.errors import InputError, suggest

__all__ = ["TraceEstimate", "TraceMethod", "estimate_trace"]

TraceMethod = Literal["hutch++", "hutchinson", "xtrace"]

BLOCK = 4  # probes multiplied at a time
BLOCK_BYTES = 2**30  # unless they take more than this
LEAST = 12  # samples before their standard error is believed
SKETCH_BYTES = 2**30  # Q and AQ together
SKETCHED = 3  # vectors for each of the sketch: two are kept, and one of them is put together of two parts
SAMPLED = 24  # vectors that samples and a block of the sketch need: signs, images, and sums in float64


@under_own_context
def estimate_trace(
    operator: SymmetricOperator,
    *,
    method: TraceMethod = "hutch++",
    rel_se: float = 0.02,
    max_products: int = 1000,
    sizes: Sequence[int] | None = None,
    diagonal: bool = False,
    seed: int = 0,
    memory_budget: int | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> TraceEstimate:
    """Estimate the trace of an operator of size n to a relative standard error.

    ``hutch++`` (Meyer, Musco, Musco and Woodruff 2021) takes the part of A that a sketch
    Q = orth(AΩ) captures exactly, and samples the rest, M = (I − P)A(I − P) with P = QQᵀ:
    tr A = tr QᵀAQ + E ωᵀMω over random signs ω. It pays where few eigenvalues hold much of ‖A‖_F. The
    sketch grows as long as that lowers the expected number of products (Persson, Cortinovis and Kressner
    2022, A-Hutch++). The samples are independent of it and of each other, so that their standard error is
    honest. ``hutchinson`` samples A itself, ωᵀAω. ``xtrace`` (Epperly, Tropp and Webber 2024) uses each
    probe for both, see `landscape.core.linalg.adaptive_xtrace`: fewer products where eigenvalues fall fast.

    The same products give the diagonal, diag(PA + AP − PAP) + E ω∘Mω, hence the traces of diagonal
    blocks, which the layers of a network are (HAWQ, Dong et al. 2020), and
    ‖A‖_F² = 2‖AQ‖_F² − ‖QᵀAQ‖_F² + E ‖Mω‖².

    Samples are added until the standard error is at most ``rel_se`` · |tr A|, at least 12. Where that
    would take n products or more, n products with unit vectors give everything exactly.

    A sketch vector costs two products and 2n values of memory, up to 1 GiB in all and what fits; a sample
    costs one product. ``xtrace`` keeps 48 vectors at least: where these do not fit into memory, ``hutch++``
    takes its place with a sketch of as many as fit, or none, and `TraceEstimate.estimator` says so. The error
    is as honest, and takes more products to reach.

    Args:
        operator: A.
        method: ``hutch++``, ``hutchinson`` or ``xtrace``.
        rel_se: Standard error asked for, relative to the trace.
        max_products: Budget; the best estimate so far is returned when it is used up.
        sizes: Lengths of consecutive diagonal blocks, summing to n; one block by default.
        diagonal: Whether to return the diagonal too.
        seed: Seed of the probes.
        memory_budget: Bytes that vectors may take; ``None`` takes the free memory less what a product needs.
        on_progress: Called with the finished fraction, estimated from the error so far.

    Raises:
        InputError: If an argument is out of range.
        LandscapeError: If a product is not finite.

    Example:
        >>> from landscape.core.linalg.operators import DenseOperator
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
    before = operator.products
    generator = torch.Generator().manual_seed(seed)
    dtype = working_dtype(operator.dtype)
    Q = torch.zeros(n, 0, dtype=dtype, device=operator.device)
    room = vectors_that_fit(operator, memory_budget)
    sketched = min(max(0, room - SAMPLED) // SKETCHED, SKETCH_BYTES // (2 * n * dtype.itemsize))
    if method == "xtrace" and n > 2 * LEAST and room < LEAST_VECTORS:
        method, sketched = "hutch++", max(0, room - SAMPLED) // SKETCHED
    if method == "xtrace" and n > 2 * LEAST:
        # of a small matrix, all products that are left are worth more than a basis of half of its rows
        most = n // 2 if n <= max_products else max_products
        found = adaptive_xtrace(
            operator,
            rel_se=rel_se,
            most=most,
            sizes=sizes,
            dtype=dtype,
            room=room,
            diagonal=diagonal,
            seed=seed,
            on_progress=report,
        )
        if found.converged or found.products + n > max_products:
            return found
        return _exact(operator, sizes, diagonal, before)
    if method == "xtrace":
        return _exact(operator, sizes, diagonal, before)
    sketch = (Q, Q)
    if method == "hutch++":
        sketch = _grow_sketch(operator, Q, generator, rel_se, max_products, sketched)
    sampler = HutchinsonSampler(*sketch, sizes)
    missing = LEAST
    width = max(1, min(BLOCK, BLOCK_BYTES // (n * dtype.itemsize)))
    while True:
        products = operator.products - before
        if n <= max_products and products + missing >= n:
            report(1.0)
            return _exact(operator, sizes, diagonal, before)
        count = min(width, max_products - products)
        if missing < 1 or count < 1:
            break
        report(products / min(products + missing, max_products))
        signs = random_signs(n, count, generator, Q)
        sampler.add(signs, finite_product(operator, sampler.rest(signs)))
        missing = _missing(sampler, rel_se, max_products)
    report(1.0)
    spent = operator.products - before
    return sampler.estimate(diagonal=diagonal, products=spent, converged=missing < 1)


def _missing(sampler: HutchinsonSampler, rel_se: float, most: int) -> int:
    """How many samples are still needed, from the error so far; at most ``most``."""
    trace, error = sampler.trace()
    target = rel_se * abs(trace)
    least = LEAST - sampler.count
    if error <= target:
        return max(least, 0)
    share = (error / target) ** 2 if target > 0 else float("inf")
    return max(least, ceil(min(sampler.count * (share - 1.0), most)), 1)


def _grow_sketch(
    operator: SymmetricOperator,
    Q: Tensor,
    generator: torch.Generator,
    rel_se: float,
    budget: int,
    most: int,
) -> tuple[Tensor, Tensor]:
    """Q and AQ, grown by blocks of probes to ``most`` columns while that lowers the products still needed.

    Before a block joins, it is an independent sample of what the sketch misses, which tells how many samples
    would be needed now. The block that ends the growth is given up: it was chosen for being small, so that
    it would make the errors too small.
    """
    n = operator.size
    most = min(most, budget // 4, n // 4)
    Z = Q
    before = float("inf")
    while Q.shape[1] + BLOCK <= most:
        signs = random_signs(n, BLOCK, generator, Q)
        missed = finite_product(operator, signs) - Z @ products(Q.T, signs.T)
        missed = project_out(Q, missed)
        trace = float(summed(_trace_of, Q, Z)) + float(summed(_trace_of, signs, missed)) / BLOCK
        variance = 2.0 * float(summed(lambda part: part.double().square().sum(), missed)) / BLOCK
        # Var ωᵀMω ≤ 2‖M‖_F², and E‖Mω‖² = ‖M‖_F²; the floor keeps a trace of zero from dividing.
        needed = variance / max((rel_se * trace) ** 2, 1e-300)
        total = 2 * Q.shape[1] + needed
        if needed <= LEAST or total >= before:
            break
        before = total
        fresh = _orthonormalize(missed, Q)
        Z = torch.cat([Z, finite_product(operator, fresh)], dim=1)
        Q = torch.cat([Q, fresh], dim=1)
    return Q, Z


def _trace_of(a: Tensor, b: Tensor) -> Tensor:
    """The trace of aᵀb, of columns (n, s)."""
    return (a * b).double().sum()


def _orthonormalize(Y: Tensor, Q: Tensor) -> Tensor:
    """Orthonormal columns, orthogonal to Q, whose span with Q holds Y.

    Once more than "twice is enough", since Y may be rounding alone.
    """
    for _ in range(3):
        Y = orthonormalise(project_out(Q, Y))[0]
    return Y


def _exact(
    operator: SymmetricOperator, sizes: Sequence[int], diagonal: bool, before: int, block: int = 64
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
    blocks = block_sums(entries[:, None], sizes)[:, 0]
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
        products=operator.products - before,
        converged=True,
        estimator="exact",
    )
