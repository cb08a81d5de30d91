"""Outlier counts, block shares and splits of matrices whose parts are known."""

import numpy as np
import pytest
import torch
from cases import CASES

import landscape
from landscape.core.linalg.decomposition import block_shares, count_outliers, split
from landscape.core.linalg.eigenpairs import eigenpairs
from landscape.core.linalg.operators import DenseOperator
from landscape.errors import InputError
from landscape.testing import matrix_with_spectrum

RANK = np.arange(1, 41)


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("count", [1, 3, 10, 20])
def test_a_gap_in_a_power_law_is_found(power, count):
    """Oracle: built in: the first ``count`` values are lifted out of a power law by a wide margin."""
    values = RANK**-power * np.where(count >= RANK, np.exp(20 * power / count), 1.0)
    found = count_outliers(values)
    assert found.count == count
    assert found.gap == pytest.approx(values[count - 1] / values[count])
    assert found.p_value < 1e-3
    assert count_outliers(RANK**-power).count == 0


def test_pareto_draws_have_uniform_p_values():
    """Oracle: theory: without a gap, at most about 5 % of samples come out significant; 500 samples."""
    rng = np.random.default_rng(0)
    draws = rng.pareto(1.0, size=(500, 1000)) + 1.0
    p = np.array([count_outliers(np.sort(row)[-40:]).p_value for row in draws])
    # the median of few spacings scatters, so that a few per cent more exceed the level
    assert 0.02 < (p <= 0.05).mean() < 0.11
    assert 0.35 < np.median(p) < 0.65


def test_the_widest_gap_at_rank_one_is_no_outlier():
    """Oracle: 1/i has its widest ratio, 2, at rank 1, and no outliers."""
    found = count_outliers(1.0 / RANK)
    assert found.count == 0
    assert np.isnan(found.gap)


def test_scores_do_not_depend_on_scale_or_order():
    """Oracle: definition: ratios of neighbours."""
    values = np.random.default_rng(0).exponential(size=20)
    a, b = count_outliers(values), count_outliers(1e6 * values[::-1])
    np.testing.assert_allclose(a.scores, b.scores, rtol=1e-9)


def test_too_few_eigenvalues_have_no_verdict():
    """Oracle: by inspection."""
    assert np.isnan(count_outliers(np.array([5.0, 1.0])).p_value)
    assert count_outliers(np.zeros(0)).count == 0
    assert count_outliers(np.full(6, 2.0)).count == 0
    with pytest.raises(InputError, match="positive eigenvalues"):
        count_outliers(np.array([1.0, -1.0]))


def test_block_shares_by_hand():
    """Oracle: by hand."""
    shares = block_shares(torch.tensor([[3.0, 0.0], [4.0, 1.0], [0.0, 1.0]]), [1, 2])
    np.testing.assert_allclose(shares, [[0.36, 0.0], [0.64, 1.0]])
    assert bool(block_shares(torch.zeros(3), [3]).isnan().all())


@pytest.mark.parametrize("name", ["mlp", "conv_batchnorm", "attention"])
def test_a_split_lies_within_its_errors(name):
    """Oracle: the exact Hessian and the dense Gauss-Newton matrix; quotients exactly."""
    problem = CASES[name].problem(weight_decay=0.01)
    H, G = landscape.hessian(problem), landscape.ggn(problem)
    A, B = H.dense(), G.dense()
    U = eigenpairs(H, 4, tol=1e-9, vectors=True).vectors
    found = split(H, G, U, sizes=problem.space.sizes, samples=40, seed=1)
    np.testing.assert_allclose(found.quotients, (U * (B @ U)).sum(0), atol=1e-10)
    for estimate, exact in ((found.whole, A), (found.part, B), (found.rest, A - B)):
        assert abs(estimate.trace - float(exact.trace())) < 4 * estimate.trace_se
        assert abs(estimate.frobenius - float(exact.norm())) < 4 * estimate.frobenius_se + 1e-12
        blocks = torch.stack([d.sum() for d in exact.diagonal().split(list(problem.space.sizes))])
        assert bool(((estimate.blocks - blocks).abs() < 5 * estimate.blocks_se + 1e-9).all())
    assert found.whole.trace == pytest.approx(found.part.trace + found.rest.trace, rel=1e-9)


def test_equal_matrices_have_no_residual():
    """Oracle: A - A is zero without any noise, though both are sampled."""
    A = DenseOperator(matrix_with_spectrum(torch.linspace(-1, 5, 50)))
    found = split(A, A, torch.zeros(50, 0), sizes=[20, 30], samples=5)
    assert (found.rest.trace, found.rest.trace_se, found.rest.frobenius) == (0.0, 0.0, 0.0)
    assert len(found.quotients) == 0


def test_unusable_arguments_are_named():
    """Oracle: the words of the sentence."""
    A, B = DenseOperator(torch.eye(4)), DenseOperator(torch.eye(5))
    with pytest.raises(InputError, match=r"size 4 .* size 5"):
        split(A, B, torch.zeros(4, 0), sizes=[4])
    with pytest.raises(InputError, match="3 samples"):
        split(A, A, torch.zeros(4, 0), sizes=[4], samples=3)
