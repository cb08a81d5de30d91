"""Neural collapse against closed forms and NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from landscape.core.features.collapse import ClassMeans, ClassScatter, self_duality, simplex_of


def simplex(classes, width):
    """Unit vectors with cosines −1/(K − 1)."""
    corners = torch.eye(classes, dtype=torch.float64) - 1.0 / classes
    corners = corners / corners.norm(dim=1, keepdim=True)
    return torch.nn.functional.pad(corners, (0, width - classes))


def cloud(means, spread):
    """Examples about each mean whose unbiased covariance is exactly spread² I, and their labels."""
    width = means.shape[1]
    reach = spread * ((2 * width - 1) / 2) ** 0.5
    offsets = reach * torch.cat([torch.eye(width), -torch.eye(width)]).double()
    features = (means[:, None] + offsets).flatten(0, 1)
    return features, torch.arange(len(means)).repeat_interleave(2 * width)


def scatter_of(features, labels, answers=None, classes=None, parts=7):
    means = ClassMeans(int(labels.max()) + 1 if classes is None else classes)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    for rows in order.chunk(parts):
        means.add(features[rows], labels[rows])
    scatter = ClassScatter(means)
    answers = labels if answers is None else answers
    for rows in order.chunk(parts):
        scatter.add(features[rows], labels[rows], answers[rows])
    return means, scatter


@pytest.mark.parametrize(("classes", "width"), [(3, 3), (5, 8), (10, 12)])
def test_a_simplex_with_equal_spread(classes, width):
    """Oracle: NC1 = s²(K−1)²/K; trace ratio s²D; distance variance s²D/‖μ_i − μ_j‖², which is 2 + 2/(K−1)."""
    s = 0.3
    _, found = scatter_of(*cloud(5.0 + simplex(classes, width), s))
    assert found.nc1 == pytest.approx(s**2 * (classes - 1) ** 2 / classes, rel=1e-9)
    assert found.trace_ratio == pytest.approx(s**2 * width, rel=1e-9)
    assert found.distance_variance == pytest.approx(s**2 * width / (2 + 2 / (classes - 1)), rel=1e-9)
    assert found.agreement == found.nearest == found.right == found.examples


def test_matrices_of_numpy():
    """Oracle: covariances and pseudo-inverse of NumPy, on unlike classes."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 2, 3], [6, 9, 17])
    x = rng.normal(size=(32, 5)) + rng.normal(size=(4, 5))[labels]
    answers = rng.integers(0, 4, 32)
    means, found = scatter_of(torch.tensor(x), torch.tensor(labels), torch.tensor(answers), 4)
    kinds = [0, 2, 3]
    centers = np.array([x[labels == k].mean(0) for k in kinds])
    within = np.mean([np.cov(x[labels == k].T) for k in kinds], axis=0)
    off = centers - centers.mean(0)
    between = off.T @ off / 3
    np.testing.assert_allclose(means.means(), centers, rtol=1e-12)
    assert list(means.present) == kinds
    want = np.trace(within @ np.linalg.pinv(between, rcond=1e-10)) / 3
    assert found.nc1 == pytest.approx(want, rel=1e-9)
    assert found.trace_ratio == pytest.approx(np.trace(within) / np.trace(between), rel=1e-9)
    nearest = np.array(kinds)[np.linalg.norm(x[:, None] - centers, axis=2).argmin(1)]
    assert found.agreement == (nearest == answers).sum()
    assert found.nearest == (nearest == labels).sum()
    assert found.right == (answers == labels).sum()


def test_a_single_example_has_no_spread():
    """Oracle: 0/0."""
    _, found = scatter_of(torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([0, 0, 1]), parts=1)
    assert np.isnan([found.nc1, found.trace_ratio, found.distance_variance]).all()


def test_equal_means_have_no_simplex():
    """Oracle: Σ_B = 0."""
    _, found = scatter_of(torch.tensor([[1.0], [3.0], [1.0], [3.0]]), torch.tensor([0, 0, 1, 1]), parts=1)
    assert np.isnan([found.nc1, found.trace_ratio]).all()


def test_corners_of_a_simplex():
    """Oracle: equal lengths, and cosines −1/(K − 1); three points on a line by hand."""
    found = simplex_of(7.0 + 3.0 * simplex(6, 9))
    assert max(found.norms, found.angles, found.gap) < 1e-12
    assert float(found.cosines[0, 1]) == pytest.approx(-1 / 5)
    line = simplex_of(torch.tensor([[-2.0], [-1.0], [3.0]]))  # about 0: lengths 2, 1, 3; cosines 1, −1, −1
    assert line.norms == pytest.approx((2 / 3) ** 0.5 / 2)
    assert line.angles == pytest.approx(8**0.5 / 3)
    assert line.gap == pytest.approx((1.5 + 0.5 + 0.5) / 3)


def test_self_duality():
    """Oracle: alike up to scale 0, opposite 2, orthogonal √2."""
    corners = simplex(4, 6)
    assert self_duality(3.0 * corners, 5.0 + corners) == pytest.approx(0, abs=1e-12)
    assert self_duality(-corners, corners) == pytest.approx(2)
    one, other = torch.zeros(2, 4), torch.zeros(2, 4)
    one[:, 0], other[:, 1] = torch.tensor([1.0, -1.0]), torch.tensor([2.0, -2.0])
    assert self_duality(one, other.double()) == pytest.approx(2**0.5)
