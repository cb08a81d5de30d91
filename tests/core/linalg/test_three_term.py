"""Lanczos without reorthogonalisation: copies of converged eigenvalues, and what they leave of the weights.

Oracle throughout: eigenvalues that are chosen, and the start's weights on eigenvectors by a dense solver in
float64, neither of which knows of a recurrence.
"""

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance

from landscape.core.linalg.operators import DenseOperator
from landscape.core.linalg.quadrature import gauss_quadrature, spectral_measure
from landscape.core.linalg.tridiagonal import lanczos
from landscape.errors import InputError
from landscape.testing import matrix_with_spectrum

N = 400
OUTLIERS = torch.cat([torch.tensor([100.0, 60.0, -40.0]), torch.linspace(-1, 1, N - 3)]).double()
SPECTRA = {"outliers": OUTLIERS, "inverse": 1.0 / torch.arange(1, N + 1, dtype=torch.float64)}
STEPS = 80


def single(values: torch.Tensor) -> DenseOperator:
    return DenseOperator(matrix_with_spectrum(values).float())


def rule(
    A: DenseOperator, seed: int, steps: int = STEPS, **options: bool
) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
    """A start, and the nodes and weights of its recurrence."""
    start = torch.randn(N, generator=torch.Generator().manual_seed(seed))
    x, w = gauss_quadrature(lanczos(A, steps, start, **options))
    return start, x.numpy(), w.numpy()


def measure_of(A: DenseOperator, start: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, and the squares of the unit start's coordinates on their eigenvectors."""
    values, vectors = torch.linalg.eigh(A.dense().double())
    return values.numpy(), ((start.double() / start.double().norm()) @ vectors).square().numpy()


def test_copies_of_an_outlier_share_its_weight():
    """The largest eigenvalues come several times; their weights sum to that of one, to single precision."""
    A = single(OUTLIERS)
    for seed in range(4):
        start, x, w = rule(A, seed, reorthogonalise=False)
        values, shares = measure_of(A, start)
        copies = np.abs(x - 100) < 1e-3
        assert copies.sum() >= 3  # else nothing is tested
        for at in (0, -1, -2):  # -40, 100 and 60
            near = np.abs(x - values[at]) < 1e-3
            assert w[near].sum() == pytest.approx(shares[at], rel=1e-3)
        assert w.sum() == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize("name", SPECTRA)
def test_copies_take_fewer_than_half_of_the_steps(name):
    """By the distance to the probe's own measure: nearer than with all vectors and half of the steps."""
    A = single(SPECTRA[name])
    for seed in range(6):
        start, x, w = rule(A, seed, reorthogonalise=False)
        values, shares = measure_of(A, start)
        distance = wasserstein_distance(values, x, shares, w)
        full, half = (
            wasserstein_distance(values, x, shares, w)
            for x, w in (rule(A, seed, steps)[1:] for steps in (STEPS, STEPS // 2))
        )
        assert full < distance < half


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("vectors", [None, 30])
def test_densities_lie_near_the_spectrum(name, vectors):
    """With room only the recurrences differ; of thirty vectors ten are left to outliers."""
    values = SPECTRA[name]
    A = single(values)
    options = {"reorthogonalise": False} if vectors is None else {"memory_budget": vectors * N * 4}
    distances = {"full": [], "plain": []}
    for seed in range(5):
        for key, own in (("full", {}), ("plain", options)):
            found = spectral_measure(A, probes=2, steps=60, seed=seed, **own)
            assert found.reorthogonalised == (key == "full")
            distance = wasserstein_distance(values, found.nodes.ravel(), None, found.weights.ravel())
            distances[key].append(distance / float(values.abs().mean()))
    full, plain = (float(np.median(d)) for d in distances.values())
    if vectors is None:
        assert plain == pytest.approx(full, rel=0.02)
    assert plain < 0.05 or plain < 1.02 * full


def test_outliers_that_are_taken_out_do_not_come_again():
    """Nodes of the bulk lie within it, where without deflation each outlier comes several times."""
    found = spectral_measure(single(OUTLIERS), probes=3, steps=STEPS, memory_budget=30 * N * 4)
    bulk = found.nodes[:, : -found.outliers]
    assert not found.reorthogonalised and found.outliers >= 3
    assert np.abs(bulk[found.weights[:, : -found.outliers] > 1e-9]).max() < 1.001


def test_vectors_that_are_not_kept_are_not_returned():
    """By inspection."""
    with pytest.raises(InputError, match="vectors=True needs all"):
        lanczos(single(OUTLIERS), 3, torch.ones(N), vectors=True, reorthogonalise=False)
