"""The Lanczos recurrence against closed forms and matrix powers."""

import pytest
import torch

from landscape.core.linalg.operators import DenseOperator
from landscape.core.linalg.tridiagonal import excludes, lanczos
from landscape.errors import InputError, LandscapeError
from landscape.testing import matrix_with_spectrum


def path_laplacian(n: int) -> torch.Tensor:
    ones = torch.ones(n - 1, dtype=torch.float64)
    degree = torch.cat([ones[:1], 2 * ones[1:], ones[:1]])
    return torch.diag(degree) - torch.diag(ones, 1) - torch.diag(ones, -1)


@pytest.mark.parametrize("reorthogonalise", [True, False])
def test_a_path_met_from_its_end_gives_itself(reorthogonalise):
    """Independent: closed form; the Laplacian of a path is tridiagonal in the Krylov basis."""
    A, start = DenseOperator(path_laplacian(12)), torch.eye(12, dtype=torch.float64)[0]
    run = lanczos(A, 12, start, reorthogonalise=reorthogonalise)
    assert torch.allclose(run.alpha, path_laplacian(12).diagonal(), atol=1e-14)
    assert torch.allclose(run.beta, torch.ones(11, dtype=torch.float64), atol=1e-14)
    T = torch.diag(run.alpha) - torch.diag(run.beta, 1) - torch.diag(run.beta, -1)
    angles = torch.arange(12, dtype=torch.float64) * torch.pi / 12
    assert torch.allclose(torch.linalg.eigvalsh(T), 2 - 2 * angles.cos(), atol=1e-13)


@pytest.mark.parametrize("reorthogonalise", [True, False])
def test_moments_are_exact_up_to_twice_the_steps(reorthogonalise):
    """Independent: powers of the dense matrix; Gauss quadrature has degree 2 steps - 1."""
    A = matrix_with_spectrum(torch.linspace(-1, 1.5, 50))
    v = torch.randn(50, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    run = lanczos(DenseOperator(A), 5, v, reorthogonalise=reorthogonalise)
    T = torch.diag(run.alpha) + torch.diag(run.beta, 1) + torch.diag(run.beta, -1)
    errors = []
    for j in range(11):
        moment = v @ torch.linalg.matrix_power(A, j) @ v
        errors.append(float(run.norm**2 * torch.linalg.matrix_power(T, j)[0, 0] / moment) - 1)
    assert errors[:10] == pytest.approx([0.0] * 10, abs=1e-12)
    assert abs(errors[10]) > 1e-4


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float64, 1e-13), (torch.float32, 1e-5)])
def test_the_basis_is_orthonormal_though_eigenvalues_converge(dtype, limit):
    """Independent: inner products. Without reorthogonalisation the outlier comes back as a ghost."""
    values = torch.cat([torch.tensor([100.0]), torch.linspace(-1, 1, 99)])
    A = matrix_with_spectrum(values, dtype=dtype)
    Q = lanczos(DenseOperator(A), 60, torch.ones(100, dtype=dtype), vectors=True).basis
    assert Q.shape == (100, 60)
    assert float((Q.T @ Q - torch.eye(60, dtype=dtype)).abs().max()) < limit


@pytest.mark.parametrize("reorthogonalise", [True, False])
def test_columns_are_runs_of_their_own(reorthogonalise):
    """Independent: one run per column; the products are shared, not the spaces."""
    A = DenseOperator(matrix_with_spectrum(torch.linspace(-1, 1.5, 50)))
    V = torch.randn(50, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    options = {"reorthogonalise": reorthogonalise, "vectors": reorthogonalise}
    together = lanczos(A, 8, V, **options)
    assert A.products == 24
    for c in range(3):
        alone = lanczos(A, 8, V[:, c], **options)
        assert torch.allclose(together.alpha[c], alone.alpha, atol=1e-13)
        assert torch.allclose(together.beta[c], alone.beta, atol=1e-13)
        if reorthogonalise:
            assert torch.allclose(together.basis[c], alone.basis, atol=1e-12)
        assert torch.allclose(together.norm[c], V[:, c].norm())
        assert torch.allclose(alone.norm, V[:, c].norm())


@pytest.mark.parametrize("reorthogonalise", [True, False])
def test_an_early_end_leaves_zeros_of_no_weight(reorthogonalise):
    """Independent: two eigenvectors span the Krylov space, so the rule has two nodes of weight 1/2."""
    A = torch.diag(torch.tensor([1.0, 4.0, 2.0, 7.0], dtype=torch.float64))
    start = torch.tensor([1.0, 1.0, 0.0, 0.0])
    run = lanczos(DenseOperator(A), 4, start, reorthogonalise=reorthogonalise)
    assert run.alpha.tolist() == pytest.approx([2.5, 2.5, 0, 0])
    assert run.beta.tolist() == pytest.approx([1.5, 0, 0])


@pytest.mark.parametrize(
    ("steps", "start", "message"),
    [
        (0, torch.ones(4), "steps=0"),
        (2, torch.ones(5), "start has shape"),
        (2, torch.zeros(4), "zero vector"),
        (2, torch.full((4,), torch.nan), "start holds NaN"),
    ],
)
def test_unusable_arguments_are_named(steps, start, message):
    """Independent: by inspection."""
    with pytest.raises(InputError, match=message):
        lanczos(DenseOperator(torch.eye(4)), steps, start)


def test_a_product_that_is_not_finite_is_named():
    """Independent: the matrix holds an infinity."""
    with pytest.raises(LandscapeError, match="returned NaN or infinite"):
        lanczos(DenseOperator(torch.diag(torch.tensor([1.0, torch.inf]))), 2, torch.ones(2))


# What coefficients exclude


def test_excludes_empty_space_soon_and_an_eigenvalue_never():
    """Independent: the spectrum is chosen: one eigenvalue at 1 over a bulk in [-0.2, 0.2]."""
    n = 400
    bulk = torch.linspace(-0.2, 0.2, n - 1, dtype=torch.float64)
    A = DenseOperator(torch.diag(torch.cat([torch.ones(1, dtype=torch.float64), bulk])))
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        v = torch.randn(n, generator=generator, dtype=torch.float64)
        run = lanczos(A, 13, v)
        below, above = (
            [excludes(run.alpha[:j], run.beta[:j], level, size=n) for j in range(13)] for level in (0.9, 1.1)
        )
        assert not any(below)
        assert above[12] and not above[2]


def test_excludes_nothing_before_the_first_product_and_all_after_a_breakdown():
    """Independent: by the bound itself."""
    nothing = torch.zeros(0, dtype=torch.float64)
    assert not excludes(nothing, nothing, 1.0, size=10)
    assert excludes(torch.tensor([0.5]), torch.tensor([0.0]), 1.0, size=10)
    assert not excludes(torch.tensor([0.5]), torch.tensor([0.0]), 0.4, size=10)
