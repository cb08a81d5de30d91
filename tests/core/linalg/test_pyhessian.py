"""PyHessian's algorithms on our products against PyHessian itself, seed for seed."""

import numpy as np
import pytest
import torch
from cases import CASES
from torch import nn

import landscape
from landscape.core.linalg.operators import DenseOperator
from landscape.core.linalg.pyhessian import power_iteration, pyhessian_trace
from landscape.errors import InputError, LandscapeError
from landscape.testing import indefinite, matrix_with_spectrum

pyhessian = pytest.importorskip("pyhessian")


def network():
    """A small classifier and its data in two batches, float32, which is all that PyHessian takes."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
    x, y = torch.randn(20, 6), torch.arange(20) % 3
    return model, [(x[:12], y[:12]), (x[12:], y[12:])]


def engine():
    """PyHessian's own object."""
    model, batches = network()
    return pyhessian.hessian(model, nn.CrossEntropyLoss(), dataloader=batches, cuda=False)


def ours():
    """The operator of the same loss, and the parameters' shapes."""
    model, batches = network()
    problem = landscape.Problem(model, "cross_entropy", batches)
    return landscape.hessian(problem), problem.space.shapes


@pytest.mark.filterwarnings("ignore:Using backward")
@pytest.mark.parametrize("seed", [0, 1])
def test_eigenvalues_are_those_of_pyhessian(seed):
    """Oracle: the package itself, from the same random numbers, for as many iterations.

    Neither stops by itself: where λ settles slowly, the last bits, which depend on the processor, decide at
    which iteration its change falls below a tolerance.
    """
    theirs = engine()
    torch.manual_seed(seed)
    values, vectors = theirs.eigenvalues(maxIter=100, tol=0.0, top_n=3)
    found = power_iteration(*ours(), 3, seed=seed, tol=0.0)
    assert found.products == 3 * 100 + 3
    order = np.argsort(-np.abs(values), kind="stable")
    np.testing.assert_allclose(found.values, np.array(values)[order], rtol=1e-5)
    for mine, index in zip(found.vectors.T, order, strict=True):
        vector = torch.cat([p.reshape(-1) for p in vectors[index]])
        assert abs(float(mine @ vector)) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.filterwarnings("ignore:Using backward")
@pytest.mark.parametrize("seed", [0, 1])
def test_the_trace_is_that_of_pyhessian(seed):
    """Oracle: the package itself, from the same random numbers, for as many samples: the same mean."""
    theirs = engine()
    torch.manual_seed(seed)
    samples = theirs.trace(maxIter=100, tol=-np.inf)
    found = pyhessian_trace(*ours(), rel_se=0.02, seed=seed, tol=-np.inf)
    assert found.samples == found.products == len(samples) == 100
    assert found.trace == pytest.approx(float(np.mean(samples)), rel=1e-5)


@pytest.mark.filterwarnings("ignore:Using backward")
@pytest.mark.parametrize("seed", [0, 1])
def test_the_trace_stops_where_pyhessian_stops(seed):
    """Oracle: the package itself; the tolerance lies in the middle of a gap between changes of its mean.

    So no last bit decides about the stop.
    """
    torch.manual_seed(seed)
    means = np.cumsum(engine().trace(maxIter=100, tol=-np.inf)) / np.arange(1, 101)
    before = np.concatenate([[0.0], means[:-1]])
    least = np.minimum.accumulate(np.abs(means - before) / (before + 1e-6))
    stop = int(np.argmax(least[1:] < 0.5 * least[:-1])) + 1  # the first change far below all before it
    tol = float(least[stop] + least[stop - 1]) / 2
    torch.manual_seed(seed)
    assert len(engine().trace(maxIter=100, tol=tol)) == stop + 1
    assert pyhessian_trace(*ours(), rel_se=0.02, seed=seed, tol=tol).samples == stop + 1


def test_residuals_tell_that_power_iteration_has_not_converged():
    """Oracle: the matrix: λ and -1.001 λ hardly part in 100 steps; the residuals are true ones."""
    A = matrix_with_spectrum(indefinite(60), dtype=torch.float32)
    found = power_iteration(DenseOperator(A), [torch.Size([60])], 2)
    residuals = (A.double() @ found.vectors.double() - found.vectors.double() * found.values).norm(dim=0)
    np.testing.assert_allclose(found.residuals, residuals, rtol=1e-3)
    assert float(found.residuals.max()) > 0.1
    assert not found.converged
    assert not found.complete


def test_a_simple_spectrum_converges():
    """Oracle: a given spectrum, far apart."""
    A = matrix_with_spectrum([100.0, -20.0, 3.0, 0.1, 0.0], dtype=torch.float32)
    found = power_iteration(DenseOperator(A), [torch.Size([2]), torch.Size([3])], 2, tol=1e-6)
    np.testing.assert_allclose(found.values, [100.0, -20.0], rtol=1e-4)
    assert float(found.residuals.max()) < 1e-1


def test_the_standard_error_covers_the_trace():
    """Oracle: the exact trace and its blocks, within four and five errors."""
    problem = CASES["mlp"].problem()
    exact = landscape.hessian(problem).dense()
    found = pyhessian_trace(
        landscape.hessian(problem), problem.space.shapes, rel_se=0.5, tol=1e-6, diagonal=True
    )
    assert found.samples == 100
    assert abs(found.trace - float(exact.trace())) < 4 * found.trace_se
    blocks = torch.stack([d.sum() for d in exact.diagonal().split(list(problem.space.sizes))])
    assert bool(((found.blocks - blocks).abs() < 5 * found.blocks_se).all())
    assert len(found.diagonal) == problem.size


def test_random_numbers_of_the_caller_stay():
    """Oracle: the generator's next number."""
    operator, shapes = ours()
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    power_iteration(operator, shapes, 1)
    assert torch.equal(torch.rand(1), expected)


def test_what_cannot_be_done_is_named():
    """Oracle: the words of the sentence."""
    A = DenseOperator(torch.eye(4))
    with pytest.raises(InputError, match="max_products=2 cannot find k=3"):
        power_iteration(A, [torch.Size([4])], 3, max_products=2)
    with pytest.raises(LandscapeError, match="NaN"):
        power_iteration(DenseOperator(torch.full((4, 4), torch.nan)), [torch.Size([4])], 1)
