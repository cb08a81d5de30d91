"""What algorithms do where memory is small: an injected budget, against matrices whose spectrum is chosen.

The budget counts vectors of the matrix's size, so that tiny matrices stand for models of 1e8 parameters.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from landscape.core.linalg import quadrature, room
from landscape.core.linalg.eigenpairs import LanczosState, eigenpairs
from landscape.core.linalg.krylov import KrylovBasis
from landscape.core.linalg.operators import DenseOperator
from landscape.core.linalg.quadrature import spectral_measure
from landscape.core.linalg.room import vectors_that_fit
from landscape.core.linalg.trace import estimate_trace
from landscape.core.linalg.tridiagonal import lanczos
from landscape.errors import InputError
from landscape.testing import matrix_with_spectrum, outliers_and_bulk

N = 400


def budget(vectors: int) -> int:
    return vectors * N * 8


@pytest.fixture(scope="module")
def values():
    return outliers_and_bulk(N)


@pytest.fixture(scope="module")
def matrix(values):
    return DenseOperator(matrix_with_spectrum(values))


def suggested(message: str) -> int:
    """The number that an error names."""
    found = re.search(r"ask for \w+=(\d+) or fewer", message)
    assert found, message
    return int(found[1])


def test_vectors_are_counted_in_working_precision(monkeypatch):
    """Oracle: by hand; of the free memory, eight vectors are left to products."""
    single = DenseOperator(torch.eye(100))
    assert vectors_that_fit(single, 4000) == 10
    assert vectors_that_fit(DenseOperator(torch.eye(100).double()), 4000) == 5
    assert vectors_that_fit(DenseOperator(torch.eye(100).bfloat16()), 4000) == 10
    monkeypatch.setattr(room, "free_memory", lambda unknown: 4000)
    assert vectors_that_fit(single, None) == 2
    monkeypatch.setattr(room, "free_memory", lambda unknown: 100)
    assert vectors_that_fit(single, None) == 0
    monkeypatch.setattr(room, "free_memory", lambda unknown: unknown)
    assert vectors_that_fit(single, None) > 10**9  # a system that does not tell refuses nothing


@pytest.mark.parametrize("vectors", [False, True])
def test_a_basis_that_fits_finds_the_same_eigenvalues(matrix, values, vectors, monkeypatch):
    """Oracle: the chosen spectrum; the rows of the basis are counted where they are allocated."""
    stored = []
    start = KrylovBasis.__init__
    monkeypatch.setattr(
        KrylovBasis, "__init__", lambda self, A, c, **rest: (stored.append(c), start(self, A, c, **rest))[0]
    )
    k, most = 4, 20
    found = eigenpairs(matrix, k, memory_budget=budget(most), vectors=vectors)
    free = eigenpairs(matrix, k, vectors=vectors)
    assert stored[0] + (k if vectors else 0) <= most < stored[1]
    assert found.converged and found.complete
    largest = values[values.abs().argsort(descending=True)[:k]]
    torch.testing.assert_close(found.values, largest, rtol=1e-5, atol=0)
    assert found.products >= free.products


@pytest.mark.parametrize("vectors", [False, True])
def test_too_small_a_memory_is_told_before_any_product(matrix, vectors):
    """Oracle: what the error names is tried: it runs, and one more does not."""
    before = matrix.products
    options = {"memory_budget": budget(20), "vectors": vectors}
    with pytest.raises(InputError, match=r"k=30 eigenpairs keep at least .* room for 20: ask") as told:
        eigenpairs(matrix, 30, **options)
    assert matrix.products == before
    k = suggested(str(told.value))
    assert len(eigenpairs(matrix, k, max_products=k + 30, **options).values) == k
    with pytest.raises(InputError, match="room for 20"):
        eigenpairs(matrix, k + 1, **options)
    with pytest.raises(InputError, match="choose fewer parameters"):
        eigenpairs(matrix, 1, memory_budget=budget(3))


def test_a_run_goes_on_where_memory_has_become_smaller(matrix, values):
    """Oracle: the chosen spectrum, and the uninterrupted run where the basis keeps its size."""
    states: list[LanczosState] = []
    whole = eigenpairs(
        matrix, 4, memory_budget=budget(18), on_progress=lambda progress: states.append(progress.state())
    )
    # with all of the memory there is, the basis stays as it was
    again = eigenpairs(matrix, 4, start=states[9])
    assert torch.equal(whole.values, again.values) and whole.products == again.products
    less = eigenpairs(matrix, 4, start=states[9], memory_budget=budget(16))
    torch.testing.assert_close(less.values, whole.values, rtol=1e-5, atol=0)
    with pytest.raises(InputError, match="room for 8"):
        eigenpairs(matrix, 4, start=states[9], memory_budget=budget(8))


def test_lanczos_names_the_steps_that_fit(matrix):
    """Oracle: what the error names is tried."""
    V = torch.randn(N, 2, generator=torch.Generator().manual_seed(0)).double()
    with pytest.raises(InputError, match=r"12 Lanczos steps of 2 vectors each keep 24 vectors") as told:
        lanczos(matrix, 12, V, memory_budget=budget(17))
    steps = suggested(str(told.value))
    assert lanczos(matrix, steps, V, memory_budget=budget(17)).alpha.shape == (2, steps)
    with pytest.raises(InputError, match="choose fewer parameters"):
        lanczos(matrix, 1, V, memory_budget=budget(1))
    plain = lanczos(matrix, 12, V, reorthogonalise=False, memory_budget=budget(4))
    assert plain.alpha.shape == (2, 12)
    with pytest.raises(InputError, match=r"keep 4 vectors .* room for 3: choose fewer parameters"):
        lanczos(matrix, 12, V, reorthogonalise=False, memory_budget=budget(3))


def test_a_density_takes_out_as_many_outliers_as_fit(matrix, values):
    """Oracle: traces of powers of the chosen spectrum, within five standard errors over probes."""
    free = spectral_measure(matrix, probes=30, steps=20)
    small = spectral_measure(matrix, probes=30, steps=20, memory_budget=budget(22))
    assert small.outliers == 2 < free.outliers
    assert small.products == free.products == 600
    np.testing.assert_allclose(small.weights.sum(1), 1.0, rtol=1e-12)
    for power in (1, 2):
        mean, error = small.mean(small.nodes**power)
        assert abs(mean - float((values**power).mean())) < 5 * error


@pytest.mark.parametrize("vectors", [15, 9, 2])
def test_a_density_without_room_for_its_steps_runs_the_three_term_recurrence(matrix, values, vectors):
    """Oracle: traces of powers of the chosen spectrum, within five standard errors over probes.

    A third of the room is left to outliers, and what finds them is too short to be a probe.
    """
    before = matrix.products
    found = spectral_measure(matrix, probes=30, steps=20, memory_budget=budget(vectors))
    short = {15: 10, 9: 0, 2: 0}[vectors]  # nine vectors leave six steps, which would find nothing
    assert found.products == matrix.products - before == 600 + short
    assert not found.reorthogonalised and found.iterations == 20
    assert found.outliers <= vectors // 3 and (found.outliers > 0) == (short > 0)
    np.testing.assert_allclose(found.weights.sum(1), 1.0, rtol=1e-12)
    for power in (1, 2):
        mean, error = found.mean(found.nodes**power)
        assert abs(mean - float((values**power).mean())) < 5 * error


def test_a_density_keeps_to_its_room(matrix, monkeypatch):
    """Oracle: vectors counted where recurrences begin, those of the outliers beside them."""
    kept = []

    def counted(operator, steps, start, *, reorthogonalise=True, **rest):
        if operator.size == N:  # not what is left of a first probe
            width = 1 if start.ndim == 1 else start.shape[1]
            kept.append(width * (steps if reorthogonalise else 2))
        return lanczos(operator, steps, start, reorthogonalise=reorthogonalise, **rest)

    monkeypatch.setattr(quadrature, "lanczos", counted)
    for room_for in (2, 5, 13, 25, 45):
        kept.clear()
        found = spectral_measure(matrix, probes=4, memory_budget=budget(room_for))
        assert found.reorthogonalised == (room_for >= 40)
        assert kept[-1] + found.outliers <= room_for and max(kept) <= room_for


def test_a_density_is_refused_where_no_recurrence_fits(matrix):
    """Oracle: by hand; nothing is multiplied before."""
    before = matrix.products
    with pytest.raises(InputError, match=r"40 Lanczos steps keep, .* 2 vectors .* room for 1: choose fewer"):
        spectral_measure(matrix, memory_budget=budget(1))
    assert matrix.products == before


@pytest.mark.parametrize(("vectors", "estimator"), [(40, "hutch++"), (20, "hutchinson")])
def test_without_room_for_xtrace_errors_stay_honest(values, vectors, estimator):
    """Oracle: the trace of a chosen spectrum over 100 seeds: unbiased, and two errors cover 90 % at least."""
    A = matrix_with_spectrum(values)
    truth, scores = float(values.sum()), []
    for seed in range(100):
        found = estimate_trace(
            DenseOperator(A), method="xtrace", rel_se=0.1, max_products=N - 1, seed=seed,
            memory_budget=budget(vectors),
        )  # fmt: skip
        assert found.estimator == estimator and found.sketch <= max(0, vectors - 24) // 3
        scores.append((found.trace - truth) / found.trace_se)
    scores = np.array(scores)
    assert (np.abs(scores) < 2).mean() >= 0.9
    assert abs(scores.mean()) < 3 * scores.std() / 10
    assert scores.std() < 1.3


def test_xtrace_keeps_to_its_room(matrix):
    """Oracle: five vectors for each probe, of which there are no more than fit; with room, the same bits."""
    options = {"method": "xtrace", "rel_se": 1e-6, "max_products": 120}
    free = estimate_trace(matrix, **options)
    same = estimate_trace(matrix, **options, memory_budget=budget(300))
    small = estimate_trace(matrix, **options, memory_budget=budget(75))
    assert free.estimator == same.estimator == small.estimator == "xtrace"
    assert same.trace == free.trace and same.samples == free.samples == 60
    assert small.samples == 15 and not small.converged
    assert small.trace == pytest.approx(float(matrix.dense().trace()), abs=4 * small.trace_se)
