"""Brackets from Lanczos recurrences against the measures themselves, known point by point."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from landscape.core.linalg.moment_bounds import (
    Bracket,
    below,
    between,
    density_band,
    gauss_radau,
    gauss_rule,
    smoothed,
)
from landscape.core.linalg.operators import DenseOperator
from landscape.core.linalg.tridiagonal import lanczos


def measure(seed, zeros=30, steps=25):
    """Points and weights (points, probes) of three probes, and their recurrences."""
    draw = torch.Generator().manual_seed(seed)
    spread = torch.cat([0.01 * torch.randn(60, generator=draw), 0.1 * torch.randn(90, generator=draw).abs()])
    points = torch.cat([spread, torch.zeros(zeros)]).double()
    V = torch.randn(len(points), 3, generator=draw).double()
    run = lanczos(DenseOperator(torch.diag(points)), steps, V)
    weights = (V / V.norm(dim=0)).square()
    return points.numpy(), weights.numpy(), run.alpha.numpy(), run.beta.numpy()


@pytest.mark.parametrize("seed", range(10))
def test_masses_and_densities_lie_within_their_brackets(seed):
    """Oracle: sums over the points, which no quadrature takes part in."""
    points, weights, alpha, beta = measure(seed)
    cuts = np.linspace(-0.05, 0.4, 41)
    found = below(alpha, beta, cuts, rounding=1e-13)
    under, upto = (
        np.array([weights[side(points, c)].sum(0) for c in cuts]).T for side in (np.less, np.less_equal)
    )
    assert (found.low <= under + 1e-9).all()
    assert (found.high >= upto - 1e-9).all()
    part = between(alpha, beta, 0.01, 0.15)
    mass = weights[(points > 0.01) & (points < 0.15)].sum(0)
    assert ((part.low <= mass + 1e-9) & (mass <= part.high + 1e-9)).all()
    grid = np.linspace(-0.2, 0.6, 101)
    for width in (0.01, lambda x: np.maximum(0.1 * np.abs(x), 0.008)):
        s = width(points) if callable(width) else width
        kernel = np.exp(-0.5 * ((grid[:, None] - points) / s) ** 2) / (s * np.sqrt(2 * np.pi))
        exact = (kernel @ weights).T
        curve = smoothed(alpha, beta, grid, width)
        # a kernel that widens has its peak near the place and not at it: within a cell, a little is missed
        slack = (1e-2 if callable(width) else 1e-9) * exact.max()
        assert (curve.low <= curve.high + 1e-12).all()
        assert (curve.low <= exact + slack).all()
        assert (curve.high >= exact - slack).all()


def test_more_steps_leave_less_open():
    """Oracle: each further step fixes two more moments, so that brackets are nested."""
    wide = below(*measure(0, steps=10)[2:], [0.005])
    narrow = below(*measure(0, steps=40)[2:], [0.005])
    assert (wide.low <= narrow.low + 1e-9).all()
    assert (narrow.high <= wide.high + 1e-9).all()
    assert (narrow.high - narrow.low < 0.7 * (wide.high - wide.low)).all()


def test_a_recurrence_that_ended_leaves_nothing_open():
    """Oracle: three points of known weights; an atom at the cut is the bracket."""
    points = torch.tensor([-1.0, 0.0, 2.0]).double()
    v = torch.tensor([0.6, 0.0, 0.8]).double()
    run = lanczos(DenseOperator(torch.diag(points)), 3, v[:, None])
    found = below(run.alpha.numpy(), run.beta.numpy(), [-1.5, -1.0, 0.0, 2.0, 3.0], rounding=1e-12)
    np.testing.assert_allclose(found.low[0], [0.0, 0.0, 0.36, 0.36, 1.0], atol=1e-12)
    np.testing.assert_allclose(found.high[0], [0.0, 0.36, 0.36, 1.0, 1.0], atol=1e-12)


def test_a_node_is_where_it_is_asked_for():
    """Oracle: the eigenvalues of the changed matrix; moments up to degree 2k − 2 of the plain rule."""
    *_, alpha, beta = measure(3, steps=6)
    plain, changed = gauss_rule(alpha, beta), gauss_rule(gauss_radau(alpha, beta, 0.07), beta)
    assert (np.abs(changed[0] - 0.07).min(1) < 1e-12).all()
    for power in range(11):
        moments = [(nodes**power * weights).sum(1) for nodes, weights in (plain, changed)]
        np.testing.assert_allclose(*moments, rtol=1e-9)


def test_errors_of_a_bracket():
    """Oracle: by hand."""
    found = Bracket(np.array([0.1, 0.3]), np.array([0.3, 0.5]))
    assert float(found.middle) == pytest.approx(0.3)
    assert [float(end) for end in found.ends] == pytest.approx([0.2, 0.4])
    assert float(found.sampling_error) == pytest.approx(0.1)
    assert np.isnan(Bracket(np.zeros(1), np.ones(1)).sampling_error)
    half = found.scaled(0.5, 0.2)
    assert half.low.tolist() == pytest.approx([0.25, 0.35])


def test_the_band_of_a_density_holds_outliers_that_are_not_quite_known():
    """Oracle: one outlier, off by half its residual, beside a bulk that is known node by node."""
    bulk = np.array([[-1.0, 1.0], [-1.0, 1.0]])
    alpha, beta = np.zeros((2, 2)), np.ones((2, 1))
    nodes = np.concatenate([bulk, [[5.1], [5.1]]], 1)
    weights = np.tile([1 / 3, 1 / 3, 1 / 3], (2, 1))
    grid = np.linspace(-3.0, 7.0, 201)
    rows, low, high = density_band(nodes, weights, alpha, beta, np.array([0.2]), grid, lambda x: 0.3 + 0 * x)
    exact = np.exp(-0.5 * ((grid[:, None] - [-1.0, 1.0, 5.0]) / 0.3) ** 2).mean(1) / (
        0.3 * np.sqrt(2 * np.pi)
    )
    there = exact > 1e-9
    assert ((low <= exact + 1e-12) & (exact <= high + 1e-12))[there].all()
    assert rows.shape == (2, 201)
    known = density_band(nodes, weights, alpha, beta, np.zeros(1), grid, lambda x: 0.3 + 0 * x)
    assert (known[1] >= low - 1e-12).all()
    assert not (known[1] <= exact + 1e-12).all()
