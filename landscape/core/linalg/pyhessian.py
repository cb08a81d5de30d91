"""PyHessian's own algorithms (Yao et al. 2020) on our products, to reproduce what papers report."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from landscape.core.ambient import under_own_context
from landscape.core.linalg.eigenpairs import Eigenpairs
from landscape.core.linalg.hutchinson import HutchinsonSampler, TraceEstimate
from landscape.core.linalg.krylov import finite_product
from landscape.core.linalg.operators import SymmetricOperator
from landscape.core.linalg.reductions import inner_product, norms, summed
from landscape.errors import InputError

__all__ = ["MAX_ITERATIONS", "power_iteration", "pyhessian_trace"]

MAX_ITERATIONS = 100
"""PyHessian's limit of iterations, for each eigenvalue and for the trace."""

OnProduct = Callable[[Tensor, Tensor], None]


@under_own_context
def power_iteration(
    operator: SymmetricOperator,
    shapes: Sequence[torch.Size],
    k: int,
    *,
    tol: float = 1e-3,
    max_products: int | None = None,
    seed: int = 0,
    on_progress: Callable[[float], None] = lambda fraction: None,
) -> Eigenpairs:
    """Run ``pyhessian.hessian.eigenvalues``: power iteration with deflation.

    The code is PyHessian's, the products are ours: they agree with its own up to rounding and serve any
    model and loss. An iteration ends when λ changes by less than ``tol`` of itself, which can happen far
    from an eigenvalue, such as where λ ≈ -λ'. The residuals, for which k more products are taken, tell.

    Args:
        operator: The matrix, of size n.
        shapes: Shapes of the parameters; their entries sum to n.
        k: Number of eigenvalues, the largest in magnitude.
        tol: Relative change of λ that ends an iteration; residuals are compared with it too.
        max_products: Most products of the iterations, shared evenly; 100 k by default, as in PyHessian.
        seed: What torch's random numbers, which PyHessian draws from, are seeded with.
        on_progress: Called with the finished share of the most products.

    Returns:
        The pairs by falling |λ|; ``complete`` is False, since missed pairs are not searched for.

    Raises:
        InputError: If PyHessian is missing, or there are fewer products than eigenvalues.
        LandscapeError: If a product is not finite.
    """
    each = MAX_ITERATIONS if max_products is None else max_products // k
    if each < 1:
        raise InputError(f"max_products={max_products} cannot find k={k} pairs: allow at least k.")
    count = 0

    def count_up(v: Tensor, image: Tensor) -> None:
        nonlocal count
        count += 1
        on_progress(count / (k * each + k))

    with _engine(operator, shapes, seed, count_up) as engine:
        values, vectors = engine.eigenvalues(maxIter=each, tol=tol, top_n=k)
    V = torch.stack([_flat(v) for v in vectors], 1)
    V /= norms(V.T)
    found = torch.tensor(values, dtype=torch.float64)
    images = finite_product(operator, V)
    residuals = summed(_square_gaps(found.to(V.device)), images, V).sqrt().cpu()
    order = torch.argsort(found.abs(), descending=True, stable=True)
    scale = float(found.abs().max())
    return Eigenpairs(
        values=found[order],
        residuals=residuals[order],
        vectors=V[:, order.to(V.device)],
        converged=bool((residuals <= tol * scale).all()),
        complete=False,
        iterations=count + 1,
        products=count + k,
        tol=tol,
        scale=scale,
        rounding=torch.finfo(V.dtype).eps * scale,
    )


@under_own_context
def pyhessian_trace(
    operator: SymmetricOperator,
    shapes: Sequence[torch.Size],
    *,
    rel_se: float,
    max_products: int = MAX_ITERATIONS,
    tol: float = 1e-3,
    diagonal: bool = False,
    seed: int = 0,
    on_progress: Callable[[float], None] = lambda fraction: None,
) -> TraceEstimate:
    """Run ``pyhessian.hessian.trace``: Hutchinson's estimator until the running mean changes by ``tol``.

    That rule says nothing of the error, and ends early by chance; the standard error of the samples it took
    comes along, and the other estimates that `TraceEstimate` holds.

    Args:
        operator: The matrix, of size n.
        shapes: Shapes of the parameters; their entries sum to n.
        rel_se: Standard error, relative to the trace, at which the estimate counts as converged.
        max_products: Most samples.
        tol: Relative change of the mean that ends the sampling.
        diagonal: Whether to return the diagonal too.
        seed: What torch's random numbers, which PyHessian draws from, are seeded with.
        on_progress: Called with the finished share of the most samples.

    Raises:
        InputError: If PyHessian is missing.
        LandscapeError: If a product is not finite.
    """
    # No sketch: Hutchinson's plain estimator, as PyHessian has it.
    nothing = torch.zeros(operator.size, 0, dtype=operator.dtype, device=operator.device)
    sampler = HutchinsonSampler(nothing, nothing, [shape.numel() for shape in shapes])

    def add(v: Tensor, image: Tensor) -> None:
        sampler.add(v[:, None], image[:, None])
        on_progress(sampler.count / max_products)

    with _engine(operator, shapes, seed, add) as engine:
        samples = engine.trace(maxIter=max_products, tol=tol)
    trace, error = float(np.mean(samples)), sampler.trace()[1] if len(samples) > 1 else float("nan")
    estimate = sampler.estimate(diagonal=diagonal, products=len(samples))
    return replace(estimate, trace=trace, trace_se=error, converged=error <= rel_se * abs(trace))


@contextmanager
def _engine(
    operator: SymmetricOperator, shapes: Sequence[torch.Size], seed: int, on_product: OnProduct
) -> Iterator[Any]:
    """PyHessian's object with our products, within seeded random numbers."""
    try:
        module = importlib.import_module("pyhessian")
    except ImportError as error:
        raise InputError("PyHessian is not installed: pip install pyhessian.") from error
    engine = module.hessian.__new__(module.hessian)  # its constructor would differentiate a model
    # With a "full dataset" it asks for every product by `dataloader_hv_product`, which is replaced below.
    engine.model, engine.device, engine.full_dataset = nn.Module(), str(operator.device), True
    engine.params = [torch.empty(shape, dtype=operator.dtype, device=operator.device) for shape in shapes]
    sizes = [shape.numel() for shape in shapes]

    def product(parts: Sequence[Tensor]) -> tuple[float, list[Tensor]]:
        v = _flat(parts)
        image = finite_product(operator, v[:, None])[:, 0]
        on_product(v, image)
        rows = [row.view(shape) for row, shape in zip(torch.split(image, sizes), shapes, strict=True)]
        return inner_product(image, v), rows

    engine.dataloader_hv_product = product
    devices = [operator.device] if operator.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield engine


def _square_gaps(values: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """The function of rows of images Au and vectors u that gives the sums of (Au − λu)² by column."""
    return lambda images, vectors: (images.double() - vectors.double() * values).square().sum(0)


def _flat(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat([part.reshape(-1) for part in parts])
