"""Eigenpairs against matrices whose spectrum is given, NumPy's dense solver, and ARPACK's products."""

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor

from landscape.core.linalg.eigenpairs import Eigenpairs, EigenProgress, LanczosState, eigenpairs
from landscape.core.linalg.operators import DenseOperator, SymmetricOperator
from landscape.errors import InputError, LandscapeError
from landscape.testing import SPECTRA, degenerate, matrix_with_spectrum, outliers_and_bulk

WHICH = ["LM", "LA", "SA", "BE"]


class Diagonal(SymmetricOperator):
    """A diagonal matrix, for sizes at which a dense one would be slow."""

    def __init__(self, values: Tensor) -> None:
        super().__init__(len(values), values.dtype, values.device)
        self.values = values

    def _apply(self, V: Tensor) -> Tensor:
        return self.values[:, None] * V


def wanted(values: Tensor, k: int, which: str) -> Tensor:
    """The k wanted ones of all eigenvalues, by sorting."""
    falling = values.double().sort(descending=True).values
    k = min(k, len(values))
    if which == "LM":
        return falling[falling.abs().argsort(descending=True, stable=True)][:k]
    if which == "LA":
        return falling[:k]
    if which == "SA":
        return falling.flip(0)[:k]
    return torch.cat([falling[: k - k // 2], falling[len(values) - k // 2 :]])


def check(A: Tensor, values: Tensor, found: Eigenpairs, which: str) -> None:
    """Values against the given spectrum; residuals, vectors and verdict against the matrix."""
    k, scale = len(found.values), float(values.abs().max())
    eps = torch.finfo(A.dtype).eps
    got, truth = found.values, wanted(values, k, which)
    if which == "LM":  # the order of values of equal size is a matter of rounding
        assert bool((got.abs().diff() <= 0).all())
        got, truth = got.abs(), truth.abs()
    assert torch.allclose(got, truth, rtol=0, atol=found.tol * scale)
    U, A = found.vectors.double(), A.double()
    residuals = (A @ U - U * found.values).norm(dim=0)
    assert torch.allclose(residuals, found.residuals, rtol=1e-6, atol=50 * eps * scale)
    assert torch.allclose(U.T @ U, torch.eye(k, dtype=U.dtype), rtol=0, atol=50 * eps)
    assert found.converged == bool((residuals <= found.tol * scale).all())


# Known spectra


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("which", WHICH)
@pytest.mark.parametrize("name", list(SPECTRA))
def test_finds_the_wanted_end_of_a_known_spectrum(name, which, dtype):
    """Independent: the spectrum is chosen, then hidden by a random rotation."""
    values = SPECTRA[name](120)
    A = matrix_with_spectrum(values, dtype=dtype)
    found = eigenpairs(DenseOperator(A), 5, which, vectors=True)
    assert found.converged
    check(A, values, found, which)


@pytest.mark.parametrize("block", [1, 2, 4])
@pytest.mark.parametrize("copies", [2, 3, 5])
def test_finds_all_copies_of_a_multiple_eigenvalue(copies, block):
    """Independent: the spectrum is chosen. One starting vector cannot see copies by itself."""
    special = torch.tensor([10.0] * copies + [8.0, 6.0, 5.0, 4.0])
    values = torch.cat([special, torch.linspace(-1, 1, 200)]).double()
    for seed in range(5):
        found = eigenpairs(Diagonal(values), 5, block=block, seed=seed, vectors=True)
        assert found.converged and found.complete
        check(torch.diag(values), values, found, "LM")


@pytest.mark.parametrize("bulk", [0.0, 1.0])
def test_finds_copies_that_hardly_differ_from_the_last_wanted_value(bulk):
    """Independent: the spectrum is chosen. The copies lie within the margin of the search's bound."""
    values = torch.cat([torch.tensor([5.0, 5.0, 5.0, 4.9, 4.8]), torch.linspace(-bulk, bulk, 300)]).double()
    for seed in range(5):
        found = eigenpairs(Diagonal(values), 3, seed=seed)
        assert found.complete
        assert found.values.tolist() == pytest.approx([5.0] * 3, abs=1e-3)


def test_finds_an_eigenvalue_as_multiple_as_k():
    """Independent: the spectrum is chosen."""
    values = torch.cat([torch.full((12,), 3.0), torch.linspace(-1, 1, 300)]).double()
    found = eigenpairs(Diagonal(values), 12)
    assert found.complete
    assert torch.allclose(found.values, torch.full((12,), 3.0, dtype=torch.float64), atol=3e-4)


def test_without_search_copies_are_missed_and_not_called_complete():
    """Independent: the spectrum is chosen; exact arithmetic sees one copy per starting vector."""
    A = DenseOperator(matrix_with_spectrum(degenerate(60)))
    found = eigenpairs(A, 2, "LA", search=False)
    assert found.converged and not found.complete
    assert found.values.tolist() == pytest.approx([5.0, 4.0], abs=1e-3)
    assert eigenpairs(A, 2, "LA").values.tolist() == pytest.approx([5.0, 5.0], abs=1e-3)


def test_tells_apart_values_of_nearly_equal_size_and_opposite_sign():
    """Independent: the spectrum is chosen; power iteration cannot tell -10.01 from 10."""
    found = eigenpairs(DenseOperator(matrix_with_spectrum(SPECTRA["indefinite"](80))), 2)
    assert found.values.tolist() == pytest.approx([-10.01, 10.0], abs=1e-4)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    values=st.lists(st.integers(-20, 20), min_size=1, max_size=40),
    k=st.integers(1, 12),
    which=st.sampled_from(WHICH),
    block=st.integers(1, 3),
)
def test_agrees_with_a_dense_solver_on_random_spectra(values, k, which, block):
    """Independent: numpy.linalg.eigvalsh. Whole numbers collide, so copies are common."""
    A = matrix_with_spectrum([float(v) for v in values], seed=len(values))
    found = eigenpairs(DenseOperator(A), k, which, block=block, vectors=True)
    check(A, torch.from_numpy(np.linalg.eigvalsh(A.numpy())), found, which)
    assert found.converged and found.complete


# Cost


@pytest.mark.parametrize("k", [5, 10])
@pytest.mark.parametrize("tol", [1e-3, 1e-6])
def test_needs_no_more_products_than_arpack(k, tol):
    """Independent: SciPy's ARPACK, asked for the same residual of the last pair."""
    values = outliers_and_bulk(2000, width=0.1)
    count = 0

    def product(v):
        nonlocal count
        count += 1
        return values.numpy() * v.ravel()

    last = float(wanted(values, k, "LM")[-1].abs())
    start = np.random.default_rng(0).normal(size=2000)
    A = LinearOperator((2000, 2000), matvec=product, dtype=np.float64)
    eigsh(A, k, which="LM", tol=tol * 100 / last, v0=start)
    operator = Diagonal(values)
    found = eigenpairs(operator, k, tol=tol)
    assert found.converged and found.complete
    assert found.products == operator.products
    assert found.products <= 1.3 * count


def test_a_warm_start_saves_products():
    """Independent: the exact eigenvectors of a diagonal matrix, blurred by 1 %."""
    values = outliers_and_bulk(2000, width=0.3)
    n, k = 2000, 20
    exact = torch.eye(n, dtype=torch.float64)[:, values.abs().argsort(descending=True)[:k]]
    noise = torch.randn(n, k, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    near = exact + 0.01 * noise / n**0.5
    cold = eigenpairs(Diagonal(values), k)
    for start in (near, near.sum(1)):
        warm = eigenpairs(Diagonal(values), k, start=start)
        assert torch.allclose(warm.values, cold.values, rtol=0, atol=1e-2)
        assert warm.products < 0.85 * cold.products


@pytest.mark.parametrize("which", WHICH)
@pytest.mark.parametrize("block", [1, 3])
def test_a_small_basis_restarts_and_finds_the_same(which, block):
    """Independent: the spectrum is chosen."""
    ends = torch.logspace(0, 1, 8, dtype=torch.float64)
    values = torch.cat([ends, -1.05 * ends, torch.linspace(-0.5, 0.5, 300)])
    size = 6 + 3 * block
    found = eigenpairs(Diagonal(values), 6, which, basis=size, block=block, tol=1e-6, vectors=True)
    assert found.converged
    assert found.products > 2 * size  # it did restart
    check(torch.diag(values), values, found, which)


# Determinism and resuming


def assert_same(a: Eigenpairs, b: Eigenpairs) -> None:
    for field in dataclasses.fields(a):
        x, y = getattr(a, field.name), getattr(b, field.name)
        assert torch.equal(x, y) if isinstance(x, Tensor) else x == y


def test_the_same_seed_gives_the_same_bits():
    """Independent: a second run."""
    A = DenseOperator(matrix_with_spectrum(degenerate(80), dtype=torch.float32))
    assert_same(*(eigenpairs(A, 5, seed=3, vectors=True) for _ in range(2)))


def test_a_run_resumed_anywhere_gives_the_same_bits():
    """Independent: the uninterrupted run. The basis is small, so restarts and searches occur."""
    A = DenseOperator(matrix_with_spectrum(degenerate(80), dtype=torch.float32))
    options = {"k": 5, "which": "BE", "basis": 12, "vectors": True}
    states: list[LanczosState] = []
    checking: list[bool] = []

    def keep(progress: EigenProgress) -> None:
        states.append(progress.state())
        checking.append(progress.checking)

    whole = eigenpairs(A, **options, on_progress=keep)
    assert whole.iterations == len(states) > 24
    assert any(a and not b for a, b in pairwise(checking))  # a search found a missed pair
    for state in states:
        assert_same(whole, eigenpairs(A, **options, start=state))


def test_progress_counts_products_and_can_end_the_run():
    """Independent: the operator's own count."""
    A = DenseOperator(matrix_with_spectrum(degenerate(80)))
    reports: list[EigenProgress] = []

    def stop(progress: EigenProgress) -> None:
        reports.append(progress)
        if progress.products >= 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        eigenpairs(A, 3, block=2, on_progress=stop)
    assert [r.products for r in reports] == [2, 4, 6, 8]
    assert [r.iterations for r in reports] == [1, 2, 3, 4]
    assert A.products == 8
    tops = [float(r.values.abs().max()) for r in reports]
    assert all(a <= b + 1e-12 for a, b in pairwise(tops))  # Ritz values only move outwards


# Corners


def test_the_zero_operator():
    """Independent: all its eigenvalues are 0."""
    found = eigenpairs(Diagonal(torch.zeros(50)), 4, vectors=True)
    assert found.converged and found.complete
    assert found.values.tolist() == [0.0] * 4
    assert torch.allclose(found.vectors.T @ found.vectors, torch.eye(4), atol=1e-6)


@pytest.mark.parametrize("which", WHICH)
def test_an_operator_of_low_rank_ends_early(which):
    """Independent: the spectrum is chosen; every Krylov space is invariant after a few products."""
    values = torch.tensor([4.0, 4.0, -2.0] + [0.0] * 200).double()
    found = eigenpairs(Diagonal(values), 5, which, vectors=True)
    assert found.converged and found.complete and found.products < 30
    check(torch.diag(values), values, found, which)


@pytest.mark.parametrize("n", [1, 2, 3, 7])
@pytest.mark.parametrize("k", [1, 2, 7, 9])
def test_tiny_operators_and_all_pairs(n, k):
    """Independent: the spectrum is chosen. k above n gives n pairs."""
    values = torch.arange(1.0, n + 1)
    A = matrix_with_spectrum(values)
    found = eigenpairs(DenseOperator(A), k, vectors=True)
    assert len(found.values) == min(k, n) and found.products <= n
    assert found.converged and found.complete
    check(A, values, found, "LM")


def test_a_start_in_an_invariant_subspace_does_not_hide_the_rest():
    """Independent: the spectrum is chosen; the start is an exact eigenvector of a small value."""
    values = torch.cat([torch.linspace(-1, 1, 60), torch.tensor([9.0, -7.0])]).double()
    start = torch.eye(62, dtype=torch.float64)[0]
    found = eigenpairs(Diagonal(values), 2, start=start)
    assert found.complete
    assert found.values.tolist() == pytest.approx([9.0, -7.0], abs=1e-3)


def test_a_zero_start_is_replaced_by_a_random_one():
    """Independent: the run without a start."""
    A = DenseOperator(matrix_with_spectrum(degenerate(60)))
    assert_same(eigenpairs(A, 3, start=torch.zeros(60)), eigenpairs(A, 3))


def test_an_exhausted_budget_is_flagged_not_raised():
    """Independent: the residuals themselves exceed the tolerance."""
    A = matrix_with_spectrum(torch.linspace(0, 1, 200))
    operator = DenseOperator(A)
    found = eigenpairs(operator, 5, max_products=9, block=2, vectors=True)
    assert found.products == operator.products == 9
    assert not found.converged and not found.complete
    residuals = (A @ found.vectors - found.vectors * found.values).norm(dim=0)
    assert torch.allclose(found.residuals, residuals)
    assert float(residuals.max()) > found.tol


def test_a_tolerance_below_rounding_is_raised_to_it():
    """Independent: 20 eps of float32 is written out."""
    A = matrix_with_spectrum(degenerate(60), dtype=torch.float32)
    found = eigenpairs(DenseOperator(A), 3, tol=1e-12)
    assert found.tol == pytest.approx(20 * 2.0**-23)
    assert found.converged


@pytest.mark.parametrize("size", [3, 100])
def test_a_product_that_is_not_finite_is_named(size):
    """Independent: the matrix holds a NaN."""
    values = torch.ones(size)
    values[1] = torch.nan
    with pytest.raises(LandscapeError, match=rf"Diagonal of size {size} returned NaN"):
        eigenpairs(Diagonal(values), 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k=0"),
        ({"which": "LN"}, "known: BE, LA, LM, SA"),
        ({"tol": 0.0}, "tol=0"),
        ({"tol": float("nan")}, "tol=nan"),
        ({"block": 0}, "block=0"),
        ({"max_products": 2}, "max_products=2"),
        ({"basis": 4}, "basis=4"),
        ({"start": torch.ones(9)}, r"start has shape \(9,\)"),
        ({"start": torch.full((50,), torch.inf)}, "start holds NaN"),
    ],
)
def test_unusable_arguments_are_named(options, message):
    """Independent: by inspection."""
    with pytest.raises(InputError, match=message):
        eigenpairs(Diagonal(torch.ones(50)), **{"k": 3, **options})


def test_a_state_of_another_operator_is_refused():
    """Independent: by inspection."""
    states: list[LanczosState] = []
    eigenpairs(Diagonal(torch.ones(50)), 2, on_progress=lambda p: states.append(p.state()))
    with pytest.raises(InputError, match="saved Lanczos state"):
        eigenpairs(Diagonal(torch.ones(60)), 2, start=states[0])
