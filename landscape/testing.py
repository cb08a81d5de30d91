"""Matrices of known spectrum: ground truth for our tests and for those of plug-in authors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from landscape.errors import InputError

__all__ = [
    "SPECTRA",
    "clustered",
    "degenerate",
    "indefinite",
    "matrix_with_spectrum",
    "outliers_and_bulk",
]


def matrix_with_spectrum(
    eigenvalues: Tensor | Sequence[float], *, seed: int = 0, dtype: torch.dtype = torch.float64
) -> Tensor:
    """Return a symmetric matrix (n, n) with the given eigenvalues and random eigenvectors.

    The eigenvectors are the columns of a Haar-distributed orthogonal matrix (Mezzadri 2007, Notices
    of the AMS 54, 592-604). The matrix is formed in float64, then rounded to `dtype`.

    Args:
        eigenvalues: (n,), in any order, with repetitions.
        seed: seed of the eigenvectors.
        dtype: dtype of the matrix.

    Raises:
        InputError: `eigenvalues` is not a vector of at least one number.

    Example:
        >>> A = matrix_with_spectrum([3.0, 3.0, -1.0])
        >>> torch.linalg.eigvalsh(A).round(decimals=9).tolist()
        [-1.0, 3.0, 3.0]
    """
    values = torch.as_tensor(eigenvalues, dtype=torch.float64)
    if values.ndim != 1 or not len(values):
        raise InputError(f"eigenvalues has shape {tuple(values.shape)}: give a vector of numbers.")
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(len(values), len(values), dtype=torch.float64, generator=generator)
    Q, R = torch.linalg.qr(noise)
    Q *= R.diagonal().sign()
    A: Tensor = (Q * values) @ Q.T
    return ((A + A.T) / 2).to(dtype)


def degenerate(n: int = 60) -> Tensor:
    """Eigenvalues (n,): 5 three times, 4, -3 twice, and the rest evenly over [-1, 1].

    Example:
        >>> degenerate(10)[:7].tolist()
        [5.0, 5.0, 5.0, 4.0, -3.0, -3.0, -1.0]
    """
    return _over_bulk([5.0, 5.0, 5.0, 4.0, -3.0, -3.0], torch.linspace(-1, 1, _bulk(n, 6)))


def indefinite(n: int = 60) -> Tensor:
    """Eigenvalues (n,): pairs of nearly equal size and opposite sign over a bulk in [-1, 1].

    The pairs are +-10, +-8, +-6; the negative one is larger by one part in a thousand, which is where
    power iteration takes thousands of products.

    Example:
        >>> indefinite(10)[:2].tolist()
        [10.0, -10.01]
    """
    pairs = [10.0, -10.01, 8.0, -8.008, 6.0, -6.006]
    return _over_bulk(pairs, torch.linspace(-1, 1, _bulk(n, 6)))


def clustered(n: int = 60) -> Tensor:
    """Eigenvalues (n,): four within 3e-6 of 7, two within 1e-6 of -4, and a bulk in [-1, 1].

    Example:
        >>> clustered(10)[4:6].tolist()
        [-4.0, -4.000001]
    """
    tight = [7.0, 7.000001, 7.000002, 7.000003, -4.0, -4.000001]
    return _over_bulk(tight, torch.linspace(-1, 1, _bulk(n, 6)))


def outliers_and_bulk(n: int = 2000, *, outliers: int = 10, width: float = 0.05, seed: int = 0) -> Tensor:
    """Eigenvalues (n,) like those of a network: outliers from 100 down to 1 over a normal bulk.

    The outliers are spaced evenly in log; the bulk has mean 0 and standard deviation `width`
    (compare Sagun et al. 2017; Papyan 2020).

    Example:
        >>> outliers_and_bulk(100, outliers=3)[:3].round(decimals=6).tolist()
        [100.0, 10.0, 1.0]
    """
    large = torch.logspace(2, 0, outliers, dtype=torch.float64).tolist()
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(_bulk(n, outliers), dtype=torch.float64, generator=generator)
    return _over_bulk(large, width * noise)


SPECTRA: dict[str, Callable[[int], Tensor]] = {
    "degenerate": degenerate,
    "indefinite": indefinite,
    "clustered": clustered,
    "outliers_and_bulk": outliers_and_bulk,
}
"""The named spectra: name -> function of n."""


def _over_bulk(special: list[float], bulk: Tensor) -> Tensor:
    return torch.cat([torch.tensor(special, dtype=torch.float64), bulk.to(torch.float64)])


def _bulk(n: int, special: int) -> int:
    if n < special:
        raise InputError(f"n={n} is too small: this spectrum has {special} special eigenvalues.")
    return n - special
