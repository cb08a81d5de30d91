"""Stochastic Lanczos quadrature against known spectra, dense powers and an exact Hessian."""

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance
from torch import nn

from landscape import Problem, hessian
from landscape.core.linalg.eigenpairs import eigenpairs
from landscape.core.linalg.operators import DenseOperator
from landscape.core.linalg.quadrature import gauss_quadrature, spectral_measure, whole_measure
from landscape.core.linalg.tridiagonal import lanczos
from landscape.errors import InputError
from landscape.testing import SPECTRA, matrix_with_spectrum, outliers_and_bulk


def test_the_gauss_rule_has_all_moments_up_to_twice_the_steps():
    """Independent: powers of the dense matrix, vᵀAʲv for j <= 2 steps - 1, and not beyond."""
    A = matrix_with_spectrum(torch.linspace(-1, 1.5, 50))
    V = torch.randn(50, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    V = V / V.norm(dim=0)
    nodes, weights = gauss_quadrature(lanczos(DenseOperator(A), 6, V))
    assert nodes.shape == weights.shape == (3, 6)
    for j in range(12):
        exact = (V * (torch.linalg.matrix_power(A, j) @ V)).sum(0)
        assert torch.allclose((weights * nodes**j).sum(1), exact, atol=1e-12)
    beyond = (V * (torch.linalg.matrix_power(A, 12) @ V)).sum(0)
    assert not torch.allclose((weights * nodes**12).sum(1), beyond, atol=1e-6)


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("outliers", [0, 6])
def test_full_recurrences_have_the_traces_of_powers(name, outliers):
    """Independent: the spectrum is given, so tr Aʲ = Σ λʲ; the estimate lies within 5 standard errors."""
    values = SPECTRA[name](200)
    A = DenseOperator(matrix_with_spectrum(values))
    measure = spectral_measure(A, outliers=outliers, probes=30, steps=20)
    np.testing.assert_allclose(measure.weights.sum(1), 1.0, rtol=1e-12)
    assert measure.converged
    for power in (1, 2, 3):
        exact = float((values**power).mean())
        mean, error = measure.mean(measure.nodes**power)
        slack = 1e-9 * float((values.abs() ** power).max())  # where the outliers leave no error
        assert abs(mean - exact) < 5 * error + slack


@pytest.mark.parametrize("name", SPECTRA)
def test_outliers_weigh_exactly_one_eigenvalue_each(name):
    """Independent: the given eigenvalues against the nodes set apart, each within its own residual of one."""
    values = SPECTRA[name](200)
    measure = spectral_measure(DenseOperator(matrix_with_spectrum(values)), outliers=6, steps=20)
    found = measure.nodes[:, measure.nodes.shape[1] - measure.outliers :]
    assert (measure.weights[:, measure.nodes.shape[1] - measure.outliers :] == 1 / 200).all()
    assert (found == found[0]).all()
    apart = np.abs(found[0][:, None] - values.numpy()).min(1)
    assert (apart <= measure.residuals + 1e-12 * 100).all()
    if name == "outliers_and_bulk":  # all six stand clear
        largest = values[values.abs().argsort(descending=True, stable=True)[:6]]
        np.testing.assert_allclose(found[0], largest, rtol=1e-6)


def test_the_first_probe_without_the_outliers_has_the_moments_of_what_is_left_of_it():
    """Independent: the same probe less its part along exact eigenvectors, and powers of the dense matrix.

    What is taken out is known to rounding, of the power of the largest eigenvalue, 100.
    """
    A = matrix_with_spectrum(outliers_and_bulk(200))
    measure = spectral_measure(DenseOperator(A), outliers=5, probes=1, steps=40, tol=1e-9, seed=2)
    assert measure.outliers == 5 and measure.products == 40
    vectors = torch.linalg.eigh(A)[1]
    probe = torch.randn(200, 1, generator=torch.Generator().manual_seed(2)).double()
    rest = probe - vectors[:, -5:] @ (vectors[:, -5:].T @ probe)
    rest = rest / rest.norm()
    x, w = measure.nodes[0, :-5], measure.weights[0, :-5] * 200 / 195
    for power in range(6):
        exact = float((rest * (torch.linalg.matrix_power(A, power) @ rest)).sum())
        assert float((w * x**power).sum()) == pytest.approx(exact, rel=1e-9, abs=1e-13 * 100**power)


def test_an_eigenvalue_of_many_copies_is_no_outlier():
    """Independent: 40 of 200 eigenvalues are 7 by construction, which every single probe has to know."""
    values = torch.cat([torch.full((40,), 7.0), torch.linspace(-1, 1, 160)]).double()
    measure = spectral_measure(DenseOperator(torch.diag(values)), probes=4, steps=30)
    share = ((np.abs(measure.nodes - 7) < 1e-6) * measure.weights).sum(1)
    assert (np.abs(share - 0.2) < 0.1).all()


def test_copies_of_an_outlier_keep_their_weight():
    """Independent: tr A and the count of eigenvalues near 5, three by construction; all are kept."""
    values = SPECTRA["degenerate"](200)
    measure = spectral_measure(DenseOperator(matrix_with_spectrum(values)), outliers=3, probes=200, steps=20)
    mean, error = measure.mean((np.abs(measure.nodes - 5) < 1e-3).astype(float))
    assert abs(200 * mean - 3) < 5 * 200 * error


@pytest.mark.parametrize("scale", [0.0, 2.5, -1e-6])
def test_a_multiple_of_the_identity_is_one_point(scale):
    """Independent: every eigenvalue is the same; recurrences end at once."""
    measure = spectral_measure(DenseOperator(scale * torch.eye(40, dtype=torch.float64)), outliers=2, steps=5)
    held = measure.nodes[measure.weights > 1e-12]
    np.testing.assert_allclose(held, scale, atol=1e-12 * abs(scale))
    assert measure.kernel_width(0.01) == pytest.approx(0.01 * abs(scale) if scale else 0.01)


def test_more_outliers_than_eigenvalues_is_the_exact_spectrum():
    """Independent: numpy's eigenvalues."""
    A = matrix_with_spectrum([3.0, 1.0, -2.0])
    measure = spectral_measure(DenseOperator(A), outliers=10, probes=2)
    assert measure.outliers == measure.nodes.shape[1] == 3
    np.testing.assert_allclose(np.sort(measure.nodes[1]), np.linalg.eigvalsh(A.numpy()), atol=1e-12)
    assert measure.mean(measure.nodes)[0] == pytest.approx(2 / 3)


def test_the_kernel_scales_with_the_bulk_alone():
    """Independent: the bulk is known, 0.2 wide, under an outlier of 100, then of 10,000."""
    bulk = torch.linspace(-0.1, 0.1, 300, dtype=torch.float64)
    for top, scale in ((100.0, 0.2), (10_000.0, 10.0)):
        A = DenseOperator(torch.diag(torch.cat([torch.tensor([top], dtype=torch.float64), bulk])))
        measure = spectral_measure(A, outliers=1)
        assert measure.kernel_width(0.01) == pytest.approx(0.01 * scale, rel=0.02)


def test_pairs_that_are_not_resolved_stay_in_the_bulk():
    """Independent: of the values asked for, only two stand out; tolerance 1e-1 accepts anything."""
    values = torch.cat([torch.tensor([1000.0, 500.0]), torch.linspace(-1, 1, 398)]).double()
    measure = spectral_measure(DenseOperator(torch.diag(values)), outliers=5, tol=1e-1, probes=2, steps=10)
    np.testing.assert_allclose(measure.nodes[:, -measure.outliers :], [[1000.0, 500.0]] * 2, rtol=1e-4)
    assert (measure.residuals <= 0.1 * np.abs(measure.nodes[0, -measure.outliers :])).all()


def test_pairs_found_before_are_not_found_again():
    """Independent: their values themselves, the products of the probes alone, and the trace as given."""
    values = outliers_and_bulk(200)
    A = DenseOperator(matrix_with_spectrum(values))
    pairs = eigenpairs(A, 4, tol=1e-4, vectors=True, search=False, seed=3)
    measure = spectral_measure(A, outliers=pairs, steps=12, probes=8, seed=3)
    assert (measure.nodes[:, -4:] == pairs.values.numpy()).all()
    assert measure.products == 8 * 12 and measure.converged
    mean, error = measure.mean(measure.nodes)
    assert abs(mean - float(values.mean())) < 5 * error
    with pytest.raises(InputError, match="vectors=True"):
        spectral_measure(A, outliers=eigenpairs(A, 4))


def test_probes_are_reproducible_and_cost_what_is_said():
    """Independent: the operator's own count of products."""
    A = DenseOperator(matrix_with_spectrum(outliers_and_bulk(200)))
    one, two = (spectral_measure(A, outliers=4, steps=12, seed=3) for _ in range(2))
    assert (one.nodes == two.nodes).all() and (one.weights == two.weights).all()
    assert one.products + two.products == A.products
    assert one.iterations == 12
    assert (spectral_measure(A, outliers=4, steps=12, seed=4).nodes != one.nodes).any()


def test_a_looser_default_tolerance_loses_nothing():
    """Independent: the exact spectrum of a trained network; a tolerance thirty times as strict.

    The default takes out more outliers of the same products, and is as near to the spectrum.
    """
    H = hessian(trained_mlp()).dense()
    exact = np.linalg.eigvalsh(H.numpy())
    ones = np.ones(len(exact))
    found = {
        tol: [spectral_measure(DenseOperator(H), seed=seed, steps=24, **tol_of) for seed in range(8)]
        for tol, tol_of in (("default", {}), ("strict", {"tol": 1e-4}))
    }
    taken = {tol: np.mean([m.outliers for m in runs]) for tol, runs in found.items()}
    assert taken["default"] > taken["strict"] > 5
    apart = {
        tol: np.median([wasserstein_distance(m.nodes.ravel(), exact, m.weights.ravel(), ones) for m in runs])
        for tol, runs in found.items()
    }
    assert apart["default"] < 1.1 * apart["strict"]


def test_impossible_counts_are_named():
    """Independent: by inspection."""
    A = DenseOperator(torch.eye(3))
    for options in ({"probes": 0}, {"steps": 0}, {"outliers": -1}):
        with pytest.raises(InputError, match="probes >= 1"):
            spectral_measure(A, **options)


# Against PyHessian's algorithm


def trained_mlp() -> Problem:
    """A network of 487 parameters on six noisy clusters, trained for 150 steps: outliers and a bulk."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        centres = torch.randn(6, 16)
        y = torch.arange(240) % 6
        x = centres[y] + 0.7 * torch.randn(240, 16)
        model = nn.Sequential(nn.Linear(16, 20), nn.ReLU(), nn.Linear(20, 6), nn.Flatten())
        solver = torch.optim.Adam(model.parameters(), lr=1e-2)
        for step in range(150):
            rows = slice(60 * (step % 4), 60 * (step % 4) + 60)
            solver.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            solver.step()
    return Problem(model, "cross_entropy", (x, y), dtype=torch.float64)


def plain_quadrature(H: torch.Tensor, probes: int, steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Quadrature as PyHessian 0.1 does it, without deflation.

    In float32, with Rademacher probes, a three-term recurrence and one pass of Gram-Schmidt, of whose
    corrections the coefficients know nothing.
    """
    H = H.float()
    g = torch.Generator().manual_seed(seed)
    nodes, weights = [], []
    for _ in range(probes):
        v = torch.randint(0, 2, (len(H),), generator=g).float() * 2 - 1
        known = [v / v.norm()]
        alpha: list[float] = []
        beta: list[float] = []
        w = torch.zeros_like(v)
        for step in range(steps):
            if step:
                beta.append(float(w.norm()))
                for u in known:
                    w = w - (w @ u) * u
                known.append(w / w.norm())
            image = H @ known[-1]
            alpha.append(float(image @ known[-1]))
            w = image - alpha[-1] * known[-1] - (beta[-1] * known[-2] if step else 0.0)
        T = np.diag(alpha) + np.diag(beta, 1) + np.diag(beta, -1)
        x, S = np.linalg.eigh(T)
        nodes.append(x)
        weights.append(S[0] ** 2)
    return np.concatenate(nodes), np.concatenate(weights)


@pytest.mark.parametrize(("products", "probes", "steps"), [(100, 2, 50), (200, 5, 40)])
def test_a_quarter_of_the_distance_to_the_exact_spectrum_at_equal_products(products, probes, steps):
    """Independent: the exact Hessian of a trained network, and the rival's algorithm written anew.

    Medians over 8 seeds of the Wasserstein distance; both use the same number of products.
    """
    H = hessian(trained_mlp()).dense()
    exact = np.linalg.eigvalsh(H.numpy())
    ones = np.ones(len(exact))
    ours, theirs = [], []
    for seed in range(8):
        measure = spectral_measure(DenseOperator(H), probes=probes, steps=steps, seed=seed)
        assert measure.products == products
        ours.append(wasserstein_distance(measure.nodes.ravel(), exact, measure.weights.ravel(), ones))
        nodes, weights = plain_quadrature(H, products // 100, 100, seed)
        theirs.append(wasserstein_distance(nodes, exact, weights, ones))
    assert np.median(ours) <= 0.25 * np.median(theirs)


def test_all_eigenvalues_in_the_form_of_a_quadrature():
    """Independent: the spectrum is given; nothing is left to probes, and what is resolved has no limit."""
    values = torch.tensor([3.0, 3.0, -1.0, 0.5, 0.0], dtype=torch.float64)
    measure = whole_measure(DenseOperator(matrix_with_spectrum(values)), probes=3)
    assert measure.nodes.shape == (3, 5)
    np.testing.assert_allclose(np.sort(measure.nodes[0]), np.sort(values.numpy()), atol=1e-12)
    assert measure.mean(measure.nodes) == (pytest.approx(1.1), pytest.approx(0.0, abs=1e-12))
    assert measure.spacing == 0.0 and measure.products == 5
    assert float(measure.share_below(-0.5).middle) == pytest.approx(0.2)


def test_the_spacing_of_nodes():
    """Independent: neighbours in the middle of the nodes themselves."""
    A = DenseOperator(torch.diag(torch.linspace(-1, 1, 400, dtype=torch.float64)))
    measure = spectral_measure(A, outliers=0, probes=2, steps=20)
    nodes = np.sort(measure.nodes[0])
    assert measure.spacing == pytest.approx(np.diff(nodes)[9], rel=0.1)
