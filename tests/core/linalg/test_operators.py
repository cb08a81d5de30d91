"""The algebra of symmetric operators, against NumPy matrices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import CASES, generator
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import eigsh

import landscape
from landscape.core.linalg.operators import DenseOperator
from landscape.errors import InputError


def symmetric(n, seed=0):
    A = torch.randn(n, n, generator=generator(seed), dtype=torch.float64)
    return A + A.T


@given(st.integers(1, 9), st.integers(0, 3), st.floats(-3, 3), st.floats(-3, 3))
@settings(max_examples=40, deadline=None)
def test_sums_scales_shifts_and_differences_are_those_of_matrices(n, k, a, s):
    """Oracle: the same expression in NumPy, for vectors (k = 0) and blocks."""
    A, B = symmetric(n, 1), symmetric(n, 2)
    V = torch.randn(n, *((k,) if k else ()), generator=generator(3), dtype=torch.float64)
    op, other = DenseOperator(A), DenseOperator(B)
    combined = (a * op + other * 2.0 - op).shift(s)
    matrix = a * A.numpy() + 2 * B.numpy() - A.numpy() + s * np.eye(n)
    product = combined @ V
    assert product.shape == V.shape
    np.testing.assert_allclose(product.numpy(), matrix @ V.numpy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(combined.dense().numpy(), matrix, rtol=1e-12, atol=1e-12)
    assert (combined.size, combined.shape, combined.dtype) == (n, (n, n), torch.float64)


def test_deflation_zeroes_the_given_eigenpairs_and_keeps_the_others():
    """Oracle: eigenvalues in NumPy."""
    A = symmetric(8)
    values, vectors = np.linalg.eigh(A.numpy())
    deflated = DenseOperator(A).deflate(torch.from_numpy(vectors[:, [0, 7]].copy())).dense()
    expected = np.sort(np.concatenate([values[1:7], [0.0, 0.0]]))
    np.testing.assert_allclose(np.linalg.eigvalsh(deflated.numpy()), expected, atol=1e-12)


def test_deflating_something_else_is_still_the_symmetric_projection():
    """Oracle: (I − QQᵀ) A (I − QQᵀ) in NumPy."""
    A = symmetric(8)
    Q = np.linalg.qr(np.random.default_rng(0).normal(size=(8, 3)))[0]
    P = np.eye(8) - Q @ Q.T
    deflated = DenseOperator(A).deflate(torch.from_numpy(Q)).dense().numpy()
    np.testing.assert_allclose(deflated, P @ A.numpy() @ P, atol=1e-12)


@pytest.mark.parametrize("block", [1, 3, 64])
def test_dense_does_not_depend_on_its_block(block):
    """Oracle: the matrix."""
    A = symmetric(7)
    assert torch.equal(DenseOperator(A).dense(block), A)


def test_products_are_counted():
    """Oracle: counting."""
    op = DenseOperator(symmetric(4))
    _ = op @ torch.zeros(4)
    _ = op @ torch.zeros(4, 3)
    _ = op @ torch.zeros(4, 0)
    assert op.products == 4
    both = op + op
    _ = both @ torch.zeros(4, 2)
    assert (both.products, op.products) == (2, 8)


def test_products_neither_carry_a_graph_nor_write_to_their_argument():
    """Oracle: bits before; a tensor of another dtype is converted, not refused."""
    op = CASES["mlp"].problem(weight_decay=0.1)
    H = landscape.hessian(op)
    v = torch.ones(op.size, dtype=torch.float64, requires_grad=True)
    product = H @ v
    assert not product.requires_grad
    assert torch.equal(v, torch.ones_like(v))
    assert torch.equal(H @ torch.ones(op.size), product)


def test_to_scipy_feeds_eigsh():
    """Oracle: NumPy's eigenvalues of the same matrix; single vectors, columns and blocks."""
    A = symmetric(30)
    op = DenseOperator(A).to_scipy()
    assert op.dtype == np.float64
    values = eigsh(op, k=3, which="LA", return_eigenvectors=False, v0=np.ones(30))
    np.testing.assert_allclose(np.sort(values), np.linalg.eigvalsh(A.numpy())[-3:], rtol=1e-10)
    V = np.random.default_rng(0).normal(size=(30, 2))
    np.testing.assert_allclose(op @ V, A.numpy() @ V, rtol=1e-12)
    np.testing.assert_allclose(op.rmatmat(V[:, :1]), A.numpy() @ V[:, :1], rtol=1e-12)
    np.testing.assert_allclose(op.rmatvec(V[:, 0]), A.numpy() @ V[:, 0], rtol=1e-12)
    np.testing.assert_allclose(op @ V[:, ::-1], A.numpy() @ V[:, ::-1], rtol=1e-12)


def test_the_hessian_in_scipy():
    """Oracle: NumPy on the exact Hessian."""
    problem = CASES["mlp"].problem()
    values = eigsh(landscape.hessian(problem).to_scipy(), k=2, which="LM", return_eigenvectors=False)
    exact = np.linalg.eigvalsh(CASES["mlp"].exact_hessian().numpy())
    np.testing.assert_allclose(np.sort(np.abs(values)), np.sort(np.abs(exact))[-2:], rtol=1e-8)


@pytest.mark.parametrize(
    ("do", "words"),
    [
        (
            lambda op: op @ torch.zeros(3),
            r"DenseOperator of size 4 multiplies \(4,\) or \(4, k\); got \(3,\)",
        ),
        (lambda op: op @ torch.zeros(4, 2, 2), r"got \(4, 2, 2\)"),
        (lambda op: op @ torch.tensor(1.0), r"got \(\)"),
        (lambda op: op + DenseOperator(torch.eye(3)), "sizes 4 and 3 cannot be added"),
        (lambda op: DenseOperator(torch.zeros(2, 3)), r"square matrix; got \(2, 3\)"),
        (lambda op: DenseOperator(torch.tensor([[0.0, 1.0], [0.0, 0.0]])), "symmetric matrix"),
    ],
)
def test_what_does_not_fit_is_refused(do, words):
    """Oracle: the sentence names the sizes."""
    with pytest.raises(InputError, match=words):
        do(DenseOperator(torch.eye(4)))


def test_rescaled_operator_is_tat():
    """Independent: the product of dense matrices."""
    A = torch.randn(5, 5, generator=torch.Generator().manual_seed(0)).double()
    A, t = A + A.T, torch.tensor([1.0, -2.0, 0.0, 3.0, 0.5]).double()
    torch.testing.assert_close(DenseOperator(A).rescale(t).dense(), t.diag() @ A @ t.diag())
