"""Lanczos for many matrices in step: against their eigenvalues by LAPACK."""

import pytest
import torch

from landscape.core.inputs.image_lanczos import image_eigenvalues
from landscape.errors import InputError


def symmetric(values):
    """Matrices (B, D, D) of given eigenvalues (B, D) in random bases."""
    generator = torch.Generator().manual_seed(0)
    Q = torch.linalg.qr(
        torch.randn(*values.shape, values.shape[-1], generator=generator, dtype=torch.float64)
    )[0]
    return Q @ torch.diag_embed(values) @ Q.mT


def start(images, size):
    return torch.randn(images, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_ends_of_indefinite_spectra():
    """Oracle: the eigenvalues the matrices were made of; residuals bound the errors."""
    values = torch.randn(6, 40, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    A = symmetric(values)
    found = image_eigenvalues(lambda v: (A @ v[:, :, None])[:, :, 0], start(6, 40), count=3, tolerance=1e-6)
    want = values.sort(1).values
    assert found.converged.all()
    torch.testing.assert_close(found.top, want.flip(1)[:, :3], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.bottom, want[:, 0], rtol=1e-5, atol=1e-5)
    assert ((found.top - want.flip(1)[:, :3]).abs().amax(1) <= found.residual + 1e-12).all()
    Av = (A @ found.vectors[:, :, None])[:, :, 0]
    torch.testing.assert_close(Av, found.top[:, :1] * found.vectors, rtol=1e-4, atol=1e-4)


def test_images_whose_space_is_used_up_early_go_on_with_the_others():
    """Oracle: −I, a projector and zero beside a full spectrum, which takes many steps."""
    values = torch.stack(
        [
            -torch.ones(30),
            torch.cat([torch.ones(2), torch.zeros(28)]),
            torch.zeros(30),
            torch.linspace(-1, 2, 30),
        ]
    ).double()
    A = symmetric(values)
    found = image_eigenvalues(lambda v: (A @ v[:, :, None])[:, :, 0], start(4, 30), tolerance=1e-9)
    torch.testing.assert_close(
        found.top[:, 0], torch.tensor([-1.0, 1.0, 0.0, 2.0]).double(), atol=1e-9, rtol=0
    )
    torch.testing.assert_close(found.bottom, torch.tensor([-1.0, 0.0, 0.0, -1.0]).double(), atol=1e-9, rtol=0)
    assert found.converged.all()


def test_a_budget_too_small_is_said():
    """Oracle: a flat spectrum of 60 values does not converge in 6 products."""
    A = symmetric(torch.linspace(0, 1, 60).double()[None])
    found = image_eigenvalues(lambda v: (A @ v[:, :, None])[:, :, 0], start(1, 60), most=6, tolerance=1e-8)
    assert found.steps == 6 and not found.converged.any()
    with pytest.raises(InputError, match="1 to 60"):
        image_eigenvalues(lambda v: v, start(1, 60), count=61)


def test_nan_stays_with_its_image():
    """Oracle: the other image's eigenvalue."""
    A = symmetric(torch.linspace(0, 1, 10).double().expand(2, 10))
    A[1] = torch.nan
    found = image_eigenvalues(lambda v: (A @ v[:, :, None])[:, :, 0], start(2, 10))
    assert found.top[0, 0].item() == pytest.approx(1.0, rel=1e-3)
    assert found.top[1].isnan().all() and not found.converged[1]
