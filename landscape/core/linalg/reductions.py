"""Sums over long vectors, right to single precision at any length: norms, inner products, orthonormal bases.

A float32 sum of n terms, kept in one float32 number per lane, loses whatever falls under the rounding of what
has been summed: on a CPU, norms are off by 8e-5 at 4 million entries and 6e-4 at 16 million. Here blocks that
are short enough for float32 are summed by the usual kernels, and their sums in float64: no vector is copied.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

__all__ = ["inner_product", "norms", "orthonormalise", "products", "project_out", "slices"]

SHORT = 1 << 17
"""Up to so many entries the plain kernels are at rounding level (1e-6), and are what is used."""
BLOCK = 1 << 10
"""Entries that are summed in their own precision."""
QR_BLOCK = 1 << 13
BLOCK_ENTRIES = 1 << 20
"""Entries that are turned into float64 at a time."""


def slices(size: int, length: int) -> Iterator[slice]:
    """Consecutive slices of at most ``length`` that cover ``range(size)``."""
    for start in range(0, size, length):
        yield slice(start, min(start + length, size))


def inner_product(a: Tensor, b: Tensor) -> float:
    """Inner product of two vectors (P,), summed in float64.

    Example:
        >>> ones = torch.full((2**25,), 0.1)
        >>> round(inner_product(ones, ones) / (2**25 * float(ones[0]) ** 2), 12)
        1.0
    """
    return sum(float(a[part].double() @ b[part].double()) for part in slices(len(a), BLOCK_ENTRIES))


def norms(rows: Tensor, *, keepdim: bool = False) -> Tensor:
    """Euclidean norms (...) over the last axis of ``rows`` (..., n), in their precision."""
    n = rows.shape[-1]
    if _plain(rows, n):
        plain: Tensor = torch.linalg.vector_norm(rows, dim=-1, keepdim=keepdim)
        return plain
    whole = n - n % BLOCK
    parts = [torch.linalg.vector_norm(_cut(rows, whole), dim=-1)]
    if whole < n:
        parts.append(torch.linalg.vector_norm(rows[..., whole:], dim=-1, keepdim=True))
    found: Tensor = torch.linalg.vector_norm(torch.cat(parts, -1).double(), dim=-1, keepdim=keepdim)
    return found.to(rows.dtype)


def products(a: Tensor, b: Tensor) -> Tensor:
    """All inner products a bᵀ (..., m, c) of the rows of ``a`` (..., m, n) and ``b`` (..., c, n)."""
    n = a.shape[-1]
    if _plain(a, n):
        return a @ b.mT
    if a.ndim > 2:  # one at a time: a product of more axes would copy them
        return torch.stack([products(x, y) for x, y in zip(a, b, strict=True)])
    whole = n - n % BLOCK
    total = torch.bmm(_cut(a, whole).transpose(0, 1), _cut(b, whole).permute(1, 2, 0)).sum(
        0, dtype=torch.float64
    )
    return (total + (a[:, whole:] @ b[:, whole:].T)).to(a.dtype)


def project_out(Q: Tensor, V: Tensor) -> Tensor:
    """(I − QQᵀ)V for orthonormal columns Q (n, s) and V (n, c)."""
    if _plain(V, len(V)):
        return V - Q @ (Q.T @ V)
    return V - Q @ products(Q.T, V.T)


def orthonormalise(Y: Tensor) -> tuple[Tensor, Tensor]:
    """The reduced QR decomposition Y = QR of columns (n, c), n >= c, orthonormal to rounding at any length.

    Long columns are cut into blocks of rows, each is decomposed, and so is the stack of their factors R, in
    float64 (TSQR; Demmel, Grigori, Hoemmen & Langou 2012, SIAM J. Sci. Comput. 34, A206). Like Householder's
    method it needs no full rank: of dependent columns, Q holds arbitrary directions.
    """
    n, c = Y.shape
    if _plain(Y, n):
        Q, R = torch.linalg.qr(Y)
        return Q, R
    Q = torch.empty_like(Y)
    factors = []
    for part in slices(n, max(QR_BLOCK, c)):
        within, factor = torch.linalg.qr(Y[part])
        Q[part, : within.shape[1]] = within
        factors.append(factor.double())
    outer, R = torch.linalg.qr(torch.cat(factors))
    turns = outer.to(Y.dtype).split([len(factor) for factor in factors])
    for part, turn in zip(slices(n, max(QR_BLOCK, c)), turns, strict=True):
        Q[part] = Q[part, : len(turn)] @ turn
    return Q, R.to(Y.dtype)


def _cut(rows: Tensor, whole: int) -> Tensor:
    """The first ``whole`` entries of rows (..., n) as blocks (..., whole / BLOCK, BLOCK), not copied."""
    blocks: Tensor = torch.unflatten(rows[..., :whole], -1, (whole // BLOCK, BLOCK))
    return blocks


def _plain(vectors: Tensor, n: int) -> bool:
    return n <= SHORT or vectors.dtype == torch.float64
