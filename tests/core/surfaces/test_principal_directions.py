"""Principal directions through the Gram matrix, against NumPy's SVD."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import generator

from landscape.core.linalg.reductions import inner_product
from landscape.core.surfaces import principal_directions as trajectory
from landscape.core.surfaces.principal_directions import gram_matrix, principal_directions


def walk(points, size, dtype=torch.float64, offset=0.0):
    steps = torch.randn(points, size, generator=generator(1), dtype=torch.float64)
    return [p.to(dtype) for p in steps.cumsum(0) + offset]


@pytest.mark.parametrize("k", [1, 2, 3])
def test_directions_and_shares_are_those_of_the_svd(k):
    """Oracle: NumPy's SVD of the centred points."""
    points = walk(9, 200)
    directions, shares = principal_directions(points, k)
    M = torch.stack(points).numpy()
    _, s, vt = np.linalg.svd(M - M.mean(0), full_matrices=False)
    np.testing.assert_allclose(np.abs(directions.numpy() @ vt[:k].T), np.eye(k), atol=1e-12)
    np.testing.assert_allclose(directions @ directions.T, np.eye(k), atol=1e-12)
    np.testing.assert_allclose(shares, s[:k] ** 2 / (s**2).sum(), rtol=1e-12)


def test_about_the_last_point_they_are_those_of_the_differences_from_it():
    """Oracle: NumPy's SVD of [θ₀ − θ_n; …; θ_{n−1} − θ_n] (Li et al. 2018), not centred."""
    points = walk(9, 200)
    directions, shares = principal_directions(points, 2, "last")
    M = (torch.stack(points[:-1]) - points[-1]).numpy()
    _, s, vt = np.linalg.svd(M, full_matrices=False)
    np.testing.assert_allclose(np.abs(directions.numpy() @ vt[:2].T), np.eye(2), atol=1e-12)
    np.testing.assert_allclose(shares, s[:2] ** 2 / (s**2).sum(), rtol=1e-12)


def test_slices_of_the_parameters_change_nothing(monkeypatch):
    """Oracle: the whole at once."""
    points = walk(5, 1000)
    whole, shares = principal_directions(points)
    monkeypatch.setattr(trajectory, "BLOCK_ENTRIES", 5 * 64)
    sliced, again = principal_directions(points)
    np.testing.assert_allclose(sliced, whole, atol=1e-13)
    np.testing.assert_allclose(again, shares, rtol=1e-13)
    assert inner_product(points[0], points[1]) == pytest.approx(float(points[0] @ points[1]), rel=1e-13)


def test_float32_checkpoints_far_from_zero_keep_their_directions():
    """Oracle: float64 NumPy on the same float32 numbers; a float32 Gram would lose the small steps."""
    points = walk(6, 300, torch.float32, offset=1e4)
    directions, shares = principal_directions(points)
    M = torch.stack(points).double().numpy()
    _, s, vt = np.linalg.svd(M - M.mean(0), full_matrices=False)
    np.testing.assert_allclose(np.abs(np.sum(directions.numpy() * vt[:2], axis=1)), 1.0, atol=1e-6)
    np.testing.assert_allclose(shares, s[:2] ** 2 / (s**2).sum(), rtol=1e-9)
    G = (M - M.mean(0)) @ (M - M.mean(0)).T
    np.testing.assert_allclose(gram_matrix(points), G, rtol=1e-9, atol=1e-9 * np.abs(G).max())


def test_the_sign_is_fixed():
    """Oracle: the point of largest score lies on the positive side."""
    points = walk(8, 50)
    directions, _ = principal_directions(points)
    M = torch.stack(points).numpy()
    scores = (M - M.mean(0)) @ directions.numpy().T
    assert (scores[np.abs(scores).argmax(0), [0, 1]] > 0).all()
