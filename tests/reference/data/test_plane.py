from __future__ import annotations

import math

import pytest
import torch

from landscape.errors import InputError
from landscape.reference.data import circle, plane_grid, two_moons


def test_moons_are_half_circles_that_open_into_each_other():
    """Oracle: without noise each point is at distance 1 from the centre of its half circle, on its side."""
    x, y = two_moons(count=101, noise=0.0)
    assert (x.shape, x.dtype, y.dtype) == ((101, 2), torch.float32, torch.int64)
    assert torch.bincount(y).tolist() == [51, 50]
    centre = torch.tensor([[-0.5, -0.25], [0.5, 0.25]])[y]
    torch.testing.assert_close((x - centre).norm(dim=1), torch.ones(101))
    assert (((x - centre)[:, 1] >= 0) == (y == 0)).all()


def test_parts_and_splits_are_other_points_and_repeat():
    """Oracle: points compared; noise is that of its standard deviation, within 5 standard errors."""
    assert torch.equal(two_moons(part=1)[0], two_moons(part=1)[0])
    for other in (two_moons("test"), two_moons(part=1)):
        assert not torch.isin(two_moons()[0], other[0]).any()
    noisy, y = two_moons(count=4000, noise=0.2)
    centre = torch.tensor([[-0.5, -0.25], [0.5, 0.25]])[y]
    off = (noisy - centre).square().sum(1).mean()  # 1 + 2 · 0.2² of independent noise in two directions
    assert float(off) == pytest.approx(1.08, abs=5 * 0.4 / math.sqrt(4000))


def test_a_circle_has_one_radius():
    """Oracle: its points by hand."""
    x, y = circle(2.0, 4)
    torch.testing.assert_close(x, 2.0 * torch.tensor([[1.0, 0], [0, 1], [-1, 0], [0, -1]]))
    assert y.tolist() == [0] * 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: two_moons("tset"), "no split"),
        (lambda: two_moons(count=1), "count is at least 2"),
        (lambda: circle(0.0), "radius and count are positive"),
    ],
)
def test_bad_arguments_are_named(make, message):
    """Oracle: the sentence."""
    with pytest.raises(InputError, match=message):
        make()


def test_a_grid_is_even():
    """Oracle: the four corners, and the step between neighbours."""
    points, _ = plane_grid(2.0, 5)
    assert points.shape == (25, 2)
    assert points[[0, 4, 20, 24]].tolist() == [[-2, -2], [-2, 2], [2, -2], [2, 2]]
    assert points[:2].tolist() == [[-2, -2], [-2, -1]]
    with pytest.raises(InputError, match="plane_grid"):
        plane_grid(side=1)
