"""Small eigenvalues beside a huge one, of quadratics whose eigenvalues are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import landscape
from landscape.analyses.curvature._unresolved import as_asked, unresolved
from landscape.analyses.curvature.batch_spectra import _open_signs
from landscape.core.linalg.thick_restart import Eigenpairs

EXACT = torch.cat([torch.tensor([1e8]), torch.linspace(-1e-3, 0.1, 20)]).double()


class Quadratic(nn.Module):
    """A loss whose Hessian is diagonal."""

    def __init__(self, values):
        super().__init__()
        self.values = values
        self.w = nn.Parameter(torch.zeros(len(values), dtype=values.dtype))

    def forward(self, x):
        return x + 0.5 * (self.values * self.w.square()).sum()


def quadratic(values):
    data = torch.zeros(4, 1, dtype=values.dtype), torch.zeros(4)
    return landscape.Problem(Quadratic(values), lambda out, _: out[:, 0], data)


@pytest.mark.parametrize("which", ["SA", "BE", "LA", "LM"])
def test_values_that_are_all_error_are_said_to_be_unresolved(which):
    """Oracle: the diagonal. What is called resolved is within a tenth of an eigenvalue; the rest is told."""
    ds = landscape.spectrum(quadratic(EXACT), k=2, which=which)
    values, known = ds["eigenvalues"].values, ds["resolved"].values
    distance = np.abs(values[:, None] - EXACT.numpy()).min(1)
    assert (distance[known] <= 0.1 * np.abs(values[known])).all()
    assert not known.all()
    assert bool(ds["converged"]) == (which == "LM")
    assert "smaller tol" in str(ds["notice"].item())
    (figure,) = landscape.spectrum.plots({"a": ds})
    assert "not told from 0" in figure.caption
    assert sum("not resolved" in text for text in figure.marks[0].texts) == (~known).sum()


@pytest.mark.parametrize("which", ["SA", "BE"])
def test_what_the_notice_advises_resolves_them(which):
    """Oracle: the diagonal, at the smaller tolerance that the notice asks for."""
    ds = landscape.spectrum(quadratic(EXACT), k=2, which=which, tol=1e-12)
    expected = [1e8, -1e-3] if which == "BE" else EXACT[1:3]
    np.testing.assert_allclose(ds["eigenvalues"].values, expected, rtol=1e-3)
    assert ds["resolved"].values.all()
    assert bool(ds["converged"])
    assert str(ds["notice"].item()) == ""


def test_in_single_precision_no_tolerance_helps_and_the_notice_says_what_does():
    """Oracle: 1e8 times the spacing of float32 is 12, far more than all small eigenvalues."""
    ds = landscape.spectrum(quadratic(EXACT.float()), k=2, which="SA", tol=1e-12)
    assert not ds["resolved"].values.any()
    assert not bool(ds["converged"])
    assert "float64 would resolve" in str(ds["notice"].item())


def found(values, residuals, scale=1.0, eps=2.0**-52):
    """Eigenpairs of given numbers."""
    v, r = torch.tensor(values).double(), torch.tensor(residuals).double()
    return Eigenpairs(v, r, None, True, True, 1, 1, 1e-3, scale, eps * scale)


def test_zeros_of_a_matrix_of_low_rank_are_no_news_among_the_largest():
    """Oracle: by hand: 0 to rounding; asked for as the smallest, it is told what they are."""
    pairs = found([1.0, 1e-17], [1e-16, 1e-17])
    assert pairs.resolved.tolist() == [True, False]
    assert unresolved(pairs, "LM", True) == ""
    assert as_asked(pairs, "LM", True)
    assert as_asked(pairs, "BE", True)
    assert not as_asked(pairs, "BE", False)
    assert "0 as far as float64 tells" in unresolved(pairs, "BE", True)
    assert unresolved(found([1.0, 0.01], [1e-3, 5e-4]), "LM", True) == ""


def test_signs_that_are_open_are_counted():
    """Oracle: by hand."""
    values = np.array([[1.0, -0.1], [2.0, 0.2]])
    assert _open_signs(values, np.full((2, 2), 0.05)) == ""
    assert "the sign of 1 of 4" in _open_signs(values, np.full((2, 2), 0.15))
