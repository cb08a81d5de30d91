"""Sums over long vectors, right to single precision at any length: norms, inner products, orthonormal bases.

A float32 sum of n terms, kept in one float32 number per lane, loses whatever falls under the rounding of what
has been summed: on a CPU, norms are off by 8e-5 at 4 million entries and 6e-4 at 16 million. Here blocks that
are short enough for float32 are summed by the usual kernels, and their sums in float64: no vector is copied.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

__all__ = [
    "BLOCK_ENTRIES",
    "distance",
    "exact_products",
    "inner_product",
    "length",
    "norms",
    "orthonormalise",
    "products",
    "project_out",
    "slices",
    "sum_of_squares",
    "summed",
]

SHORT = 1 << 17
"""Up to so many entries the plain kernels are at rounding level (1e-6), and are what is used."""
BLOCK = 1 << 10
"""Entries that are summed in their own precision."""
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
        >>> round(inner_product(ones, ones) / (2**25 * float(ones[0]) ** 2), 9)
        1.0
    """
    return sum(float(a[part].double() @ b[part].double()) for part in slices(len(a), BLOCK_ENTRIES))


def sum_of_squares(entries: Tensor) -> float:
    """Σ x² of a vector (P,), summed in float64."""
    return sum(float(entries[part].double().square().sum()) for part in slices(len(entries), BLOCK_ENTRIES))


def summed(sum_of: Callable[..., Tensor], *vectors: Tensor) -> Tensor:
    """The sum of what ``sum_of`` gives for consecutive pieces of ``vectors`` (n, ...).

    A sum that needs its terms in float64 never holds more than a piece of them.

    Example:
        >>> summed(lambda x: x.double().cos().sum(0), torch.zeros(5, 2)).tolist()
        [5.0, 5.0]
    """
    n = len(vectors[0])
    step = max(1, BLOCK_ENTRIES * n // max(1, *(v.numel() for v in vectors)))
    parts = list(slices(n, step)) or [slice(0, 0)]
    total = sum_of(*(v[parts[0]] for v in vectors))
    for part in parts[1:]:
        total = total + sum_of(*(v[part] for v in vectors))
    return total


def exact_products(a: Tensor, b: Tensor) -> Tensor:
    """All inner products a bᵀ (m, c) of the rows of ``a`` (m, n) and ``b`` (c, n), in float64 throughout."""
    return summed(lambda x, y: x.double().T @ y.double(), a.T, b.T)


def distance(a: Tensor, b: Tensor) -> float:
    """Euclidean norm of the difference of two tensors of one shape, taken and summed in float64."""
    square = summed(lambda x, y: (x.double() - y.double()).square().sum(), a.flatten(), b.flatten())
    return math.sqrt(float(square))


def length(vector: Tensor) -> float:
    """Euclidean norm of a vector (P,), summed in float64: the root of `sum_of_squares`."""
    # As numbers: tensors kept between the pieces would leave holes in memory too small for the next piece,
    # and with them hold a copy of the whole.
    parts = [float(vector[part].double().norm()) for part in slices(len(vector), BLOCK_ENTRIES)]
    return parts[0] if len(parts) == 1 else float(torch.tensor(parts, dtype=torch.float64).norm())


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
        return a @ b.mT if a.ndim == 2 else torch.bmm(a, b.mT)
    if a.ndim > 2:  # one at a time: a product of more axes would copy them
        return torch.stack([products(x, y) for x, y in zip(a, b, strict=True)])
    if len(a) > len(b):  # as a few rows by many, for which batched kernels are faster
        return products(b, a).T
    total = torch.zeros(len(a), len(b), dtype=torch.float64, device=a.device)
    # The sums of all blocks are held at once: so many blocks that these stay few beside the vectors.
    step = BLOCK * max(1, BLOCK_ENTRIES // max(1, total.numel()))
    whole = n - n % BLOCK
    for part in slices(whole, step):
        x, y = (_cut(rows[:, part], part.stop - part.start) for rows in (a, b))
        total += torch.bmm(x.transpose(0, 1), y.permute(1, 2, 0)).sum(0, dtype=torch.float64)
    return (total + (a[:, whole:] @ b[:, whole:].T)).to(a.dtype)


def project_out(Q: Tensor, V: Tensor) -> Tensor:
    """(I − QQᵀ)V for orthonormal columns Q (n, s) and V (n, c); V itself if there are none."""
    if not Q.shape[1]:
        return V
    if _plain(V, len(V)):
        return V - Q @ (Q.T @ V)
    return V - Q @ products(Q.T, V.T)


def orthonormalise(Y: Tensor) -> tuple[Tensor, Tensor]:
    """The reduced QR decomposition Y = QR of columns (n, c), n >= c, orthonormal to rounding at any length.

    Long columns go through the method of Gram and Schmidt, each until its length stays: then what is left is
    orthogonal to rounding (Daniel, Gragg, Kaufman & Stewart 1976, Math. Comp. 30, 772-795). Like
    Householder's method it needs no full rank: where a column depends on those before it to rounding, R has a
    zero on its diagonal and Q a random direction.
    """
    n, c = Y.shape
    if _plain(Y, n):
        Q, R = torch.linalg.qr(Y)
        return Q, R
    eps = torch.finfo(Y.dtype).eps
    rows = torch.empty(c, n, dtype=Y.dtype, device=Y.device)  # each column in one piece
    R = torch.zeros(c, c, dtype=torch.float64, device=Y.device)
    for j in range(c):
        known, w = rows[:j], rows[j : j + 1].copy_(Y[:, j])
        start = left = float(norms(w))
        counts = True  # whether w is what is left of the column, rather than a random direction
        while True:
            if left <= eps * start < float("inf"):
                generator = torch.Generator().manual_seed(j)
                w.copy_(torch.randn(1, n, generator=generator))
                start, left, counts = 0.0, float(norms(w)), False
            before = left
            if j:  # of the first column nothing is known, and to find that out takes three passes
                inside = products(w, known)
                w -= inside @ known
                if counts:
                    R[:j, j] += inside[0].double()
                left = float(norms(w))
            if not left < before / 2:
                break
        w /= left
        R[j, j] = left if counts else 0.0
    return rows.T, R.to(Y.dtype)


def _cut(rows: Tensor, whole: int) -> Tensor:
    """The first ``whole`` entries of rows (..., n) as blocks (..., whole / BLOCK, BLOCK), not copied."""
    blocks: Tensor = torch.unflatten(rows[..., :whole], -1, (whole // BLOCK, BLOCK))
    return blocks


def _plain(vectors: Tensor, n: int) -> bool:
    return n <= SHORT or vectors.dtype == torch.float64
