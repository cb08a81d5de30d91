"""Error consistency, data maps and forgetting against closed forms and counts by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from landscape.core.behaviour.across_models import error_consistency, learning, true_probability


def test_independent_errors_have_no_consistency():
    """Oracle: every combination of being right as often as independence has it: .9 and .8 give e = .74."""
    right = np.repeat([1, 1, 0, 0], [72, 18, 8, 2]).astype(float)
    other = np.repeat([1, 0, 1, 0], [72, 18, 8, 2]).astype(float)
    found = error_consistency(right, other)
    assert (right.mean(), other.mean()) == (0.9, 0.8)
    assert found.expected == pytest.approx(0.74)
    assert found.observed == pytest.approx(0.74)
    assert found.kappa == pytest.approx(0.0, abs=1e-12)


def test_the_same_errors_and_opposite_ones():
    """Oracle: κ = 1 of a model with itself; of opposite errors at equal halves −1; never wrong: 0/0."""
    right = np.array([1.0, 0, 1, 1, 0, 1])
    assert error_consistency(right, right).kappa == pytest.approx(1.0)
    np.testing.assert_allclose(error_consistency(right, right).influence, 0.0, atol=1e-15)
    half = np.array([1.0, 0, 1, 0])
    assert error_consistency(half, 1 - half).kappa == pytest.approx(-1.0)
    assert math.isnan(error_consistency(np.ones(4), np.ones(4)).kappa)
    assert math.isnan(error_consistency(np.array([1.0, np.nan]), np.ones(2)).kappa)


def test_kappa_is_that_of_the_table_of_counts():
    """Oracle: Cohen's κ from the 2 × 2 table, with Fleiss, Cohen & Everitt's variance written out."""
    rng = np.random.default_rng(0)
    right = (rng.random(400) < 0.7).astype(float)
    other = np.where(rng.random(400) < 0.6, right, rng.random(400) < 0.5).astype(float)
    n = 400
    table = np.array([[((right == i) & (other == j)).mean() for j in (0, 1)] for i in (0, 1)])
    rows, columns = table.sum(1), table.sum(0)
    o, e = np.trace(table), rows @ columns
    kappa = (o - e) / (1 - e)
    found = error_consistency(right, other)
    assert found.kappa == pytest.approx(kappa)
    a = sum(table[i, i] * (1 - (rows[i] + columns[i]) * (1 - kappa)) ** 2 for i in (0, 1))
    b = (1 - kappa) ** 2 * sum(
        table[i, j] * (columns[i] + rows[j]) ** 2 for i in (0, 1) for j in (0, 1) if i != j
    )
    c = (kappa - e * (1 - kappa)) ** 2
    error = math.sqrt((a + b - c) / (n * (1 - e) ** 2))
    assert found.influence.std() / math.sqrt(n) == pytest.approx(error, rel=1e-12)


def test_examples_are_learnt_and_forgotten():
    """Oracle: counted by hand over five checkpoints."""
    right = np.array(
        [
            [1, 0, 0, 1, np.nan],
            [1, 1, 0, 0, 1],
            [1, 0, 0, 1, 1],
            [1, 1, 0, 0, 1],
            [1, 1, 0, 0, 1],
        ]
    )
    found = learning(right)
    np.testing.assert_array_equal(found.learnt, [0, 3, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(found.forgotten, [0, 1, 0, 2, np.nan])


def test_probability_of_what_is_true():
    """Oracle: by hand."""
    log_p = np.log([[0.7, 0.3], [0.2, 0.8]])
    labels = np.array([0, 0])
    np.testing.assert_allclose(true_probability(log_p, labels, None), [0.7, 0.2])
    soft = np.array([[0.5, 0.5], [1.0, 0.0]])
    np.testing.assert_allclose(true_probability(log_p, labels, soft), [0.5, 0.2])
