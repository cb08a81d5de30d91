"""Adaptive XTrace against dense matrices."""

from __future__ import annotations

import pytest
import torch
from error_bars import matrix

from landscape.core.linalg.adaptive_xtrace import adaptive_xtrace
from landscape.core.linalg.operators import DenseOperator, SymmetricOperator
from landscape.core.linalg.trace import estimate_trace
from landscape.core.linalg.xtrace import xtrace


def run(A, rel_se=1e-2, most=60, sizes=(40, 80), **options):
    return adaptive_xtrace(
        DenseOperator(A), rel_se=rel_se, most=most, sizes=sizes, dtype=torch.float64, room=10**6, **options
    )


def falling(rate, n=120):
    Q = torch.linalg.qr(torch.randn(n, n, generator=torch.Generator().manual_seed(0)).double())[0]
    A = (Q * rate ** torch.arange(n).double()) @ Q.T
    return (A + A.T) / 2


def test_every_number_is_the_mean_over_probes_left_out():
    """Oracle: the definition with dense projectors, for the twelve probes of the first look."""
    A, n, k = matrix(1), 120, 12
    omega = torch.randn(n, k, generator=torch.Generator().manual_seed(4)).double()
    diagonals, norms = [], []
    for i in range(k):
        Q = torch.linalg.qr(A @ omega[:, [j for j in range(k) if j != i]])[0]
        P = Q @ Q.T
        known = P @ A + A @ P - P @ A @ P
        mu = omega[:, i] - P @ omega[:, i]
        scale = (n - k + 1) / (mu @ mu)
        rest = mu_image = A @ mu - P @ (A @ mu)
        diagonals.append(known.diagonal() + scale * mu * mu_image)
        norms.append(known.square().sum() + scale * rest.square().sum())
    got = run(A, rel_se=1.0, seed=4, diagonal=True)
    diagonal = torch.stack(diagonals).mean(0)
    assert got.samples == k and got.products == 2 * k
    torch.testing.assert_close(got.diagonal, diagonal, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(got.blocks, torch.stack([diagonal[:40].sum(), diagonal[40:].sum()]))
    assert got.trace == pytest.approx(float(diagonal.sum()), rel=1e-10)
    assert got.frobenius == pytest.approx(float(torch.stack(norms).mean().sqrt()), rel=1e-9)


def test_it_stops_at_the_error_asked_for():
    """Oracle: the trace; a smaller error takes more products, and the budget is kept."""
    A = falling(0.95)
    loose, tight, spent = run(A, 0.1), run(A, 0.01, most=110), run(A, 1e-9, most=40)
    assert loose.converged and tight.converged and not spent.converged
    assert loose.products < tight.products <= 110 and spent.products <= 40
    for got in (loose, tight, spent):
        assert got.trace == pytest.approx(float(A.trace()), abs=4 * got.trace_se)
    assert tight.trace_se <= 0.01 * tight.trace


def test_low_rank_and_small_matrices_are_exact():
    """Oracle: the matrices."""
    u = torch.randn(120, 3, generator=torch.Generator().manual_seed(1)).double()
    got = run(u @ u.T, diagonal=True)
    assert got.trace == pytest.approx(float((u * u).sum()), rel=1e-10) and got.trace_se == 0.0
    assert got.frobenius == pytest.approx(float((u @ u.T).norm()), rel=1e-10)
    torch.testing.assert_close(got.diagonal, (u * u).sum(1))
    A = matrix(0)
    small = estimate_trace(DenseOperator(A), method="xtrace", rel_se=1e-9, sizes=[40, 80])
    assert small.trace == pytest.approx(float(A.trace()), rel=1e-12) and small.trace_se == 0.0
    assert small.blocks.tolist() == pytest.approx([float(A[:40, :40].trace()), float(A[40:, 40:].trace())])


def test_a_seed_is_a_seed():
    """Oracle: equality of bits, and of nothing else."""
    one, again, other = (run(matrix(0), seed=s) for s in (1, 1, 2))
    assert one.trace == again.trace != other.trace


class Diagonal(SymmetricOperator):
    """A long diagonal matrix in float32."""

    def __init__(self, values):
        super().__init__(len(values), values.dtype, values.device)
        self.values = values

    def _apply(self, V):
        return self.values[:, None] * V


def test_a_long_matrix_of_full_rank_is_not_taken_for_one_of_low_rank():
    """Oracle: the sum of the diagonal, a sixth of which is in what no basis of twelve vectors has."""
    values = torch.full((300_000,), 0.5)
    values[:3] = torch.tensor([4e5, 2e5, 1e5])
    exact = float(values.double().sum())
    got = estimate_trace(Diagonal(values), method="xtrace", rel_se=1e-2)
    assert got.estimator == "xtrace" and 0 < got.trace_se < 1e-2 * exact
    assert got.trace == pytest.approx(exact, abs=4 * got.trace_se)
    found = xtrace(Diagonal(values), products=24)
    assert found.error > 0 and found.trace == pytest.approx(exact, abs=4 * found.error)
