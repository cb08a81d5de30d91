"""Relative errors of approximations against norms of the matrices."""

from __future__ import annotations

import pytest
import torch
from error_bars import matrix

from landscape.core.linalg.operators import DenseOperator
from landscape.core.linalg.relative_error import relative_errors
from landscape.core.stats.intervals import reach
from landscape.errors import InputError


def pair(kind):
    """A matrix and one near it that has lost its bulk."""
    A = matrix(kind)
    values, vectors = torch.linalg.eigh(A)
    values[values.abs() < 1.0] = 0.3
    return A, 0.9 * (vectors * values) @ vectors.T


def test_intervals_hold():
    """Oracle: torch's norms of the dense matrices; 60 times with probes of their own, 95 % ± 2.8 %."""
    held = 0
    for seed in range(60):
        A, B = pair(seed % 10)
        operators = {"near": DenseOperator((B + B.T) / 2)}
        found = relative_errors(DenseOperator(A), operators, sketch=6, probes=12, seed=seed)["near"]
        held += abs(found.value - float((A - B).norm() / A.norm())) <= reach(12) * found.error
    assert held >= 54


def test_small_matrices_are_exact():
    """Oracle: the same norms, to rounding, for as many products as there are rows."""
    A, B = (DenseOperator(M[:30, :30]) for M in (matrix(0), matrix(1)))
    found = relative_errors(A, {"B": B, "A": A})
    assert found["B"].value == pytest.approx(float((A.matrix - B.matrix).norm() / A.matrix.norm()))
    assert (found["A"].value, found["A"].error, found["B"].error, A.products) == (0.0, 0.0, 0.0, 60)


def test_an_exact_approximation_has_no_error():
    """Oracle: zero, without an error, also by probes."""
    A = DenseOperator(matrix(0))
    found = relative_errors(A, {"A": DenseOperator(matrix(0))})["A"]
    assert (found.value, found.error) == (0.0, 0.0)


def test_refusals():
    """Oracle: the sentence."""
    A = DenseOperator(matrix(0))
    with pytest.raises(InputError, match="'B' has size 2, not 120"):
        relative_errors(A, {"B": DenseOperator(torch.eye(2))})
    with pytest.raises(InputError, match="probes >= 6"):
        relative_errors(A, {}, probes=2)
