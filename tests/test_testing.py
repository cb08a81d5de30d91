"""Matrices of known spectrum have that spectrum."""

import numpy as np
import pytest
import torch

from landscape.errors import InputError
from landscape.testing import SPECTRA, matrix_with_spectrum, outliers_and_bulk


@pytest.mark.parametrize("name", list(SPECTRA))
def test_the_matrix_has_the_spectrum(name):
    """Independent: numpy.linalg.eigvalsh."""
    values = SPECTRA[name](80)
    assert values.shape == (80,) and values.dtype == torch.float64
    A = matrix_with_spectrum(values)
    assert torch.equal(A, A.T)
    assert np.allclose(np.linalg.eigvalsh(A.numpy()), np.sort(values.numpy()), rtol=0, atol=1e-12)


def test_seeds_choose_the_eigenvectors():
    """Independent: equality of bits."""
    a, b, c = (matrix_with_spectrum([1.0, 2.0, 3.0], seed=s) for s in (0, 0, 1))
    assert torch.equal(a, b) and not torch.allclose(a, c)
    assert matrix_with_spectrum([1.0, 2.0], dtype=torch.float32).dtype == torch.float32


def test_unusable_spectra_are_named():
    """Independent: by inspection."""
    with pytest.raises(InputError, match="give a vector"):
        matrix_with_spectrum(torch.zeros(2, 2))
    with pytest.raises(InputError, match="n=4 is too small"):
        outliers_and_bulk(4)
