"""Balls around images."""

import pytest
import torch

from landscape.core.inputs.norms import dual_size, project, size, steepest, uniform


def draws(n=6):
    return torch.randn(n, 1, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_steepest_direction_meets_holders_inequality(norm):
    """Oracle: Hölder: g·d ≤ ‖g‖* ‖d‖, with equality for the steepest one and for no other of many."""
    g = draws()
    best = (g * steepest(g, norm)).flatten(1).sum(1)
    torch.testing.assert_close(best, dual_size(g, norm))
    torch.testing.assert_close(size(steepest(g, norm), norm), torch.ones(6, dtype=torch.float64))
    for seed in range(20):
        other = torch.randn(g.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        other = other / size(other, norm).view(-1, 1, 1, 1)
        assert ((g * other).flatten(1).sum(1) <= best + 1e-12).all()
    assert not steepest(torch.zeros_like(g), norm).any()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_projection_is_the_nearest_point_of_the_ball(norm):
    """Oracle: within the ball it is the identity; outside, ⟨d − Pd, q − Pd⟩ ≤ 0 for points q of the ball."""
    d = 3.0 * draws()
    radius = torch.full((6,), 0.7, dtype=torch.float64)
    p = project(d, radius, norm)
    assert (size(p, norm) <= 0.7 + 1e-12).all()
    torch.testing.assert_close(project(p, radius, norm), p)
    for seed in range(20):
        q = uniform(d.shape, 0.7, norm, torch.Generator().manual_seed(seed))
        assert (((d - p) * (q - p)).flatten(1).sum(1) <= 1e-12).all()


def test_uniform_draws_fill_the_ball():
    """Oracle: in n dimensions ‖d‖ⁿ is uniform for ℓ2, and each entry is for ℓ∞; 4 standard errors."""
    n = 4000
    generator = torch.Generator().manual_seed(0)
    lengths = size(uniform((n, 1, 2, 2), 0.5, "l2", generator), "l2")
    share = (lengths / 0.5) ** 4
    assert lengths.max() <= 0.5
    assert abs(share.mean().item() - 0.5) < 4 * (1 / 12 / n) ** 0.5
    entries = uniform((n, 1, 2, 2), 0.5, "linf", generator).flatten()
    assert entries.abs().max() <= 0.5
    assert abs(entries.abs().mean().item() - 0.25) < 4 * 0.5 * (1 / 12 / len(entries)) ** 0.5
