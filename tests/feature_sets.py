"""Sets of features, and HSIC by a formula of its own."""

from __future__ import annotations

import numpy as np
import torch
from cases import generator


def noise(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=generator(seed), dtype=dtype)


def related(n=40, p=6, q=9):
    """Two sets of features that share a part."""
    x = noise(n, p)
    return x, x @ noise(p, q, seed=1) + 0.7 * noise(n, q, seed=2)


def three_terms(K, L):
    """HSIC₁ as Song et al. (2012), equation 5, write it, in NumPy."""
    K, L = K.copy(), L.copy()
    np.fill_diagonal(K, 0.0)
    np.fill_diagonal(L, 0.0)
    n = len(K)
    one = np.ones(n)
    value = np.trace(K @ L) + (one @ K @ one) * (one @ L @ one) / ((n - 1) * (n - 2))
    return (value - 2.0 / (n - 2) * (one @ K @ L @ one)) / (n * (n - 3))
