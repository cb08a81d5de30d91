"""Lanczos for many small symmetric matrices at once: one for each image, all advanced by one product."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from landscape.errors import InputError

__all__ = ["ImageEigenvalues", "image_eigenvalues"]

Product = Callable[[Tensor], Tensor]
"""Vectors of each image (B, D) to the products with that image's matrix (B, D)."""


@dataclass(frozen=True)
class ImageEigenvalues:
    """The ends of the spectrum of each image's matrix.

    Attributes:
        top: The ``k`` largest eigenvalues, largest first, (B, k), float64.
        bottom: The smallest eigenvalue, (B,).
        vectors: Eigenvectors of the largest one, of norm 1, (B, D).
        residual: Largest residual norm ‖Au − λu‖ of these, (B,): an eigenvalue lies within it of each.
        bottom_residual: That of the smallest one alone, (B,).
        converged: Whether it is at most the tolerance times the largest |eigenvalue|, (B,).
        steps: Products taken.
    """

    top: Tensor
    bottom: Tensor
    vectors: Tensor
    residual: Tensor
    bottom_residual: Tensor
    converged: Tensor
    steps: int


def image_eigenvalues(
    product: Product,
    start: Tensor,
    *,
    count: int = 1,
    tolerance: float = 1e-3,
    most: int = 200,
) -> ImageEigenvalues:
    """The largest eigenvalues and the smallest of every image's matrix.

    Lanczos with full reorthogonalisation (twice), in float64, for all images in step; it ends when all have
    converged, when the space is used up, or after `most` products. Copies of multiple eigenvalues are not
    found before the space of one start is used up: it holds one vector of each eigenspace.

    Args:
        product: Multiplies each image's matrix with a vector of its own.
        start: A vector for each image, (B, D), such as random numbers.
        count: How many of the largest.
        tolerance: Of the residuals, relative to the largest |eigenvalue| of the image.
        most: Most products.

    Raises:
        InputError: If an argument is out of range.
    """
    images, size = start.shape
    if count < 1 or count > size:
        raise InputError(f"an image of {size} pixels has 1 to {size} eigenvalues; got count={count}.")
    if not tolerance > 0 or most < 1:
        raise InputError(f"tolerance and most must be positive; got {tolerance} and {most}.")
    steps = min(most, size)
    basis = torch.zeros(images, steps + 1, size, dtype=torch.float64, device=start.device)
    alpha = torch.zeros(images, steps, dtype=torch.float64, device=start.device)
    beta = torch.zeros(images, steps, dtype=torch.float64, device=start.device)
    basis[:, 0] = _unit(start.double())
    # Relative to the matrix: what is left of a vector below this is rounding of the products.
    rounding = 50.0 * torch.finfo(start.dtype).eps
    fresh = torch.Generator().manual_seed(0)
    done = 0
    for step in range(steps):
        w = product(basis[:, step].to(start.dtype)).double()
        alpha[:, step] = (w * basis[:, step]).sum(1)
        known = basis[:, : step + 1]
        w = _orthogonal(w, known)
        length = torch.linalg.vector_norm(w, dim=1)
        scale = torch.maximum(alpha[:, : step + 1].abs().amax(1), beta[:, : step + 1].amax(1))
        # An invariant subspace is used up: go on in the rest of the space, coupled to it by zero.
        used_up = length <= rounding * scale
        beta[:, step] = length.where(~used_up, 0.0)
        done = step + 1
        if done == size:
            break
        if bool(used_up.any()):
            other = torch.randn(images, size, generator=fresh, dtype=torch.float64).to(w.device)
            w = w.where(~used_up[:, None], _orthogonal(other, known))
        basis[:, step + 1] = _unit(w)
        if done >= count + 2 and done % 4 == 0 and _finished(alpha, beta, done, count, tolerance):
            break
    return _read(basis, alpha, beta, done, count, tolerance)


def _orthogonal(vectors: Tensor, known: Tensor) -> Tensor:
    """What is left of vectors (B, D) beyond rows that are known (B, m, D), taken off twice for rounding."""
    for _ in range(2):
        vectors = vectors - ((known @ vectors[:, :, None]).mT @ known)[:, 0]
    return vectors


def _unit(vectors: Tensor) -> Tensor:
    lengths = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    unit: Tensor = vectors / lengths.where(lengths > 0, 1.0)
    return unit


def _ritz(alpha: Tensor, beta: Tensor, done: int) -> tuple[Tensor, Tensor, Tensor]:
    """Ritz values (B, m) rising, their coordinates (B, m, m), and residual norms (B, m)."""
    T = torch.diag_embed(alpha[:, :done])
    if done > 1:
        side = torch.diag_embed(beta[:, : done - 1], 1)
        T = T + side + side.mT
    hole = ~T.isfinite().flatten(1).all(1)
    values, coordinates = torch.linalg.eigh(T.where(~hole[:, None, None], 0.0))
    values = values.where(~hole[:, None], torch.nan)
    return values, coordinates, beta[:, done - 1, None] * coordinates[:, -1].abs()


def _wanted(count: int, done: int) -> list[int]:
    return [*range(done - 1, max(done - 1 - count, -1), -1), 0]


def _finished(alpha: Tensor, beta: Tensor, done: int, count: int, tolerance: float) -> bool:
    values, _, residuals = _ritz(alpha, beta, done)
    largest = values.abs().amax(1, keepdim=True)
    good = (residuals[:, _wanted(count, done)] <= tolerance * largest) | values[:, :1].isnan()
    return bool(good.all())


def _read(
    basis: Tensor, alpha: Tensor, beta: Tensor, done: int, count: int, tolerance: float
) -> ImageEigenvalues:
    values, coordinates, residuals = _ritz(alpha, beta, done)
    vectors = (coordinates[:, None, :, -1] @ basis[:, :done])[:, 0]
    top = values.flip(1)[:, :count]
    top = torch.nn.functional.pad(top, (0, count - top.shape[1]), value=torch.nan)
    wanted = residuals[:, _wanted(count, done)].amax(1)
    converged = wanted <= tolerance * values.abs().amax(1)
    return ImageEigenvalues(top, values[:, 0], _unit(vectors), wanted, residuals[:, 0], converged, done)
