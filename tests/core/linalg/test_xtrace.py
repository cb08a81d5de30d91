"""XTrace against traces of dense matrices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from error_bars import matrix

from landscape.core.linalg.operators import DenseOperator
from landscape.core.linalg.trace import estimate_trace
from landscape.core.linalg.xtrace import xtrace
from landscape.core.stats.intervals import reach
from landscape.errors import InputError


def test_each_probe_is_left_out_in_turn():
    """Oracle: the definition, with a basis made anew without each probe."""
    A, k = matrix(0), 6
    omega = torch.randn(120, k, generator=torch.Generator().manual_seed(3)).double()
    found = []
    for i in range(k):
        Q = torch.linalg.qr(A @ omega[:, [j for j in range(k) if j != i]])[0]
        mu = omega[:, i] - Q @ (Q.T @ omega[:, i])
        found.append((Q.T @ A @ Q).trace() + (120 - k + 1) * mu @ A @ mu / (mu @ mu))
    got = xtrace(DenseOperator(A), products=2 * k, seed=3)
    assert got.trace == pytest.approx(float(torch.stack(found).mean()), rel=1e-9)
    assert got.products == 12


def test_intervals_hold():
    """Oracle: the trace; in 100 trials 90 % less three binomial errors, and no bias."""
    deviations, held = [], 0
    for seed in range(100):
        A = matrix(seed % 10)
        got = xtrace(DenseOperator(A), products=40, seed=seed)
        deviations.append((got.trace - float(A.trace())) / got.error)
        held += abs(deviations[-1]) <= reach(20)
    assert held >= 84
    assert abs(np.mean(deviations)) < 0.4


def test_the_error_lies_between_the_spread_and_the_jackknife():
    """Oracle: both by their definitions, with a basis made anew without each pair of probes."""
    A, n, k = matrix(0), 120, 7
    omega = torch.randn(n, k, generator=torch.Generator().manual_seed(5)).double()

    def estimates(kept):
        found = []
        for i in kept:
            Q = torch.linalg.qr(A @ omega[:, [j for j in kept if j != i]])[0]
            mu = omega[:, i] - Q @ (Q.T @ omega[:, i])
            found.append((Q.T @ A @ Q).trace() + (n - len(kept) + 1) * mu @ A @ mu / (mu @ mu))
        return torch.stack(found)

    spread = estimates(list(range(k))).std() / k**0.5
    without = torch.stack([estimates([i for i in range(k) if i != j]).mean() for j in range(k)])
    jackknife = ((k - 1) / k * (without - without.mean()).square().sum()).sqrt()
    got = xtrace(DenseOperator(A), products=2 * k, seed=5)
    assert got.error == pytest.approx(float((spread * jackknife).sqrt()), rel=1e-8)


def test_fast_falling_eigenvalues_take_few_products():
    """Oracle: the trace; Hutch++ with as many products is further off on the whole."""
    Q = torch.linalg.qr(torch.randn(120, 120, generator=torch.Generator().manual_seed(0)).double())[0]
    A = (Q * 0.7 ** torch.arange(120).double()) @ Q.T
    A = DenseOperator((A + A.T) / 2)
    truth = float(A.matrix.trace())
    errors = [abs(xtrace(A, products=40, seed=s).trace - truth) for s in range(10)]
    others = [abs(estimate_trace(A, rel_se=1e-9, max_products=40, seed=s).trace - truth) for s in range(10)]
    assert np.median(errors) < np.median(others)


def test_low_rank_and_small_matrices_are_exact():
    """Oracle: the trace."""
    u = torch.randn(120, 3, generator=torch.Generator().manual_seed(1)).double()
    got = xtrace(DenseOperator(u @ u.T))
    assert got.trace == pytest.approx(float((u * u).sum()), rel=1e-10)
    assert got.error == 0.0
    got = xtrace(DenseOperator(matrix(0)), products=200)
    assert (got.products, got.error) == (120, 0.0)
    assert got.trace == pytest.approx(float(matrix(0).trace()))
    with pytest.raises(InputError, match="products >= 8"):
        xtrace(DenseOperator(matrix(0)), products=4)
