"""Hutchinson's samples with a subspace taken out, against averages over all signs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from landscape.core.linalg import hutchinson
from landscape.core.linalg.hutchinson import HutchinsonSampler, block_sums, mean_and_error, random_signs
from landscape.testing import matrix_with_spectrum

A = matrix_with_spectrum([5.0, -3.0, 1.0, 0.5, -0.2])
SIGNS = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=5)), dtype=torch.float64).T


@pytest.mark.parametrize("known", [0, 1, 2])
def test_over_all_signs_every_estimate_is_exact(known):
    """Oracle: the matrix itself; the mean over all 32 sign vectors is the expectation."""
    Q = torch.linalg.qr(A @ SIGNS[:, :known]).Q
    sampler = HutchinsonSampler(Q, A @ Q, [2, 3])
    sampler.add(SIGNS, A @ sampler.rest(SIGNS))
    found = sampler.estimate(diagonal=True)
    assert found.trace == pytest.approx(float(A.trace()), rel=1e-12)
    torch.testing.assert_close(found.diagonal, A.diagonal())
    torch.testing.assert_close(found.blocks, block_sums(A.diagonal()[:, None], [2, 3])[:, 0])
    assert found.frobenius == pytest.approx(float(A.norm()), rel=1e-12)
    assert (found.sketch, found.samples) == (known, 32)


def test_the_error_of_the_trace_is_that_of_the_distribution():
    """Oracle: 2 Σ_{i≠j} A_ij², the variance of ωᵀAω over random signs, and Student's factor by hand."""
    sampler = HutchinsonSampler(torch.zeros(5, 0).double(), torch.zeros(5, 0).double(), [5])
    sampler.add(SIGNS, A @ SIGNS)
    off = A - torch.diag(A.diagonal())
    variance = 2 * float(off.square().sum()) * (32 / 31) * (31 / 29)
    assert sampler.trace()[1] == pytest.approx((variance / 32) ** 0.5, rel=1e-12)


def test_mean_and_error_by_numpy():
    """Oracle: NumPy's unbiased deviation, times √((g − 1)/(g − 3)); infinite where that does not exist."""
    x = np.random.default_rng(0).standard_normal((3, 9))
    mean, error = mean_and_error(torch.from_numpy(x))
    np.testing.assert_allclose(mean, x.mean(-1))
    np.testing.assert_allclose(error, x.std(-1, ddof=1) / 3 * (8 / 6) ** 0.5)
    assert mean_and_error(torch.from_numpy(x[:, :3]))[1].isinf().all()


def test_signs_are_signs_and_the_same_in_every_precision():
    """Oracle: their squares; the bits of the other precision."""
    single, double = (
        random_signs(7, 4, torch.Generator().manual_seed(3), torch.zeros(1, dtype=dtype))
        for dtype in (torch.float32, torch.float64)
    )
    assert single.square().eq(1).all() and torch.equal(single.double(), double)
    assert -28 < float(double.sum()) < 28


def test_signs_are_drawn_piece_by_piece_as_at_once(monkeypatch):
    """Oracle: all integers drawn at once by torch."""
    monkeypatch.setattr(hutchinson, "PIECE", 7)
    like = torch.zeros(0)
    found = random_signs(50, 3, torch.Generator().manual_seed(4), like)
    drawn = torch.randint(0, 2, (50, 3), generator=torch.Generator().manual_seed(4))
    assert torch.equal(found, (2 * drawn - 1).float()) and found.dtype == like.dtype
