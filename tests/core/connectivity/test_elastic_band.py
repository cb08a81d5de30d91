"""Nudged elastic bands against a double well whose pass is known, and forces by hand."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from landscape import Problem
from landscape.core.connectivity.curve import bent, straight
from landscape.core.connectivity.elastic_band import (
    BandTraining,
    at_constant_speed,
    missing_pivots,
    nudged_forces,
    relax_band,
    tangents,
)
from landscape.errors import InputError


class Point(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(2, dtype=torch.float64))

    def forward(self, x):
        return self.w.expand(len(x), -1)


def wells(w):
    """Minima of 0 at (1, 0) and (0, 1); the way of steepest descent between them is the unit circle.

    On the circle the gradient runs along it, so it is that way; its pass is halfway, at 45° and 1.
    """
    x, y = w[:, 0], w[:, 1]
    square = x.square() + y.square()
    return (2 * x * y / square).square() + 10 * (square.sqrt() - 1).square()


def problem():
    data = torch.zeros(32, 1, dtype=torch.float64), torch.zeros(32)
    return Problem(Point(), lambda output, target: wells(output), data)


LEFT, RIGHT = torch.eye(2, dtype=torch.float64)


def highest(path):
    return max(float(wells(path.point(t)[None])) for t in np.linspace(0, 1, 201))


@pytest.mark.parametrize("bends", [1, 3, 6])
def test_the_band_finds_the_pass(bends):
    """Oracle: closed form: pivots lie on the unit circle, the highest of the way is 1; the line is higher."""
    settings = BandTraining(epochs=120, lr=0.01, batch_size=8)
    path = relax_band(problem(), bent(LEFT, RIGHT, bends, "polychain"), settings)
    assert highest(straight(LEFT, RIGHT)) == pytest.approx(1 + 10 * (1 - 0.5**0.5) ** 2)
    np.testing.assert_allclose(path.points.norm(dim=1), 1.0, atol=0.02)
    assert highest(path) == pytest.approx(1.0, abs=0.05)
    if bends == 3:  # springs keep pivots apart evenly
        lengths = path.points.diff(dim=0).norm(dim=1)
        assert lengths.max() < 1.2 * lengths.min()
    assert torch.equal(path.points[[0, -1]], torch.stack([LEFT, RIGHT]))


def test_forces_by_hand():
    """Oracle: the formulas of Henkelman & Jónsson (2000), one pivot at a time in numpy."""
    g = torch.Generator().manual_seed(0)
    points, grads = (torch.randn(n, 5, generator=g, dtype=torch.float64) for n in (6, 4))
    E = np.array([0.0, 2.0, 1.0, 3.0, 3.5, 4.0])
    forces = nudged_forces(points, E, grads, 0.7)
    p = points.numpy()
    for i in (1, 2, 3, 4):
        ahead, back = p[i + 1] - p[i], p[i] - p[i - 1]
        rises = abs(E[i + 1] - E[i]), abs(E[i] - E[i - 1])
        if E[i + 1] > E[i] > E[i - 1]:
            step = ahead
        elif E[i + 1] > E[i - 1]:
            step = max(rises) * ahead + min(rises) * back
        else:
            step = min(rises) * ahead + max(rises) * back
        tau = step / np.linalg.norm(step)
        np.testing.assert_allclose(tangents(points, E)[i - 1], tau, atol=1e-14)
        loss = grads[i - 1].numpy()
        stretch = np.linalg.norm(ahead) - np.linalg.norm(back)
        expected = -(loss - (loss @ tau) * tau) + 0.7 * stretch * tau
        np.testing.assert_allclose(forces[i - 1], expected, atol=1e-13)


def test_pivots_are_inserted_where_the_loss_bulges():
    """Oracle: by eye. The first segment is linear, the second bulges by 1 of a range of 1.5 at its third."""
    at = np.array([0.0, 0.5, 0.5])
    between = np.array([[0.125, 0.25, 0.375], [0.6, 0.9, 1.5]])
    assert missing_pivots(at, between) == [None, 0.75]
    assert missing_pivots(at, np.array([[0.125, 0.25, 0.375], [0.5, 0.5, 0.5]])) == [None, None]


def test_knots_follow_the_lengths():
    """Oracle: a band with pivots 1 and 3 apart, whose speed is constant."""
    path = at_constant_speed(torch.tensor([[0.0], [1.0], [4.0]]))
    assert path.knots == (0.0, 0.25, 1.0)
    assert at_constant_speed(torch.tensor([[0.0], [0.0], [4.0]])).knots == (0.0, 0.5, 1.0)
    lost = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1e-20]], dtype=torch.float64)  # 1 + 1e-20 is 1
    assert at_constant_speed(lost).knots == (0.0, 0.5, 1.0)


def test_a_band_that_goes_on_gives_the_same_bits():
    """Oracle: the uninterrupted run, stopped just before pivots are inserted and after."""
    settings = BandTraining(epochs=8, cycles=4, batch_size=16)
    start = bent(LEFT, RIGHT, 2, "polychain")
    kept = []
    whole = relax_band(problem(), start, settings, on_epoch=lambda s: kept.append(copy.deepcopy(s)))
    assert len(whole.points) > 4, "pivots were inserted"
    for state in (kept[1], kept[2], kept[5]):
        again = relax_band(problem(), start, settings, state=state)
        assert torch.equal(again.points, whole.points)


def test_a_line_is_no_band():
    """Oracle: the sentence."""
    with pytest.raises(InputError, match="at least one pivot"):
        relax_band(problem(), straight(LEFT, RIGHT), BandTraining())
