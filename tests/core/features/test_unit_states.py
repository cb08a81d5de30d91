"""Dead, dormant, duplicate and saturated units, made by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from landscape.core.features.unit_states import saturation, unit_states


def test_units_made_by_hand_are_counted():
    """Oracle: of eight entries two are constant, one of them and one other hardly move, two copy a third."""
    torch.manual_seed(0)
    x = torch.randn(50, 4, dtype=torch.float64) + 1.0
    features = torch.cat(
        [x, 3 * x[:, :1] + 2, x[:, 1:2] * 0.5, torch.zeros(50, 1), torch.full((50, 1), 7.0)], 1
    )
    found = unit_states(features)
    assert found.dead == 2 / 8
    assert found.dormant == 1 / 8  # the zero; a constant 7 is dead and not dormant
    assert found.duplicate == 2 / 6
    assert unit_states(features, tau=1e9).dormant == 1.0
    # an opposite is no duplicate: it adds a direction to what a rectifier passes
    assert unit_states(torch.cat([x, -x], 1)).duplicate == 0.0


def test_wide_features_are_compared_in_part():
    """Oracle: every entry the same but for its scale: all but the first are duplicates."""
    x = torch.randn(10, 1, dtype=torch.float64) * torch.arange(1.0, 3001.0)
    assert unit_states(x).duplicate == pytest.approx(1 - 1 / 1000)


@pytest.mark.parametrize(
    "module",
    [nn.Tanh(), nn.Sigmoid(), nn.ReLU6(), nn.Hardtanh(-2, 2)],
)
def test_saturation(module):
    """Oracle: outputs of −9, 0, 3 and 9, each compared with the ends of the range by hand."""
    outputs = module(torch.tensor([-9.0, 0.0, 3.0, 9.0]))
    ends = {"Tanh": (-1, 1), "Sigmoid": (0, 1), "ReLU6": (0, 6), "Hardtanh": (-2, 2)}
    low, high = ends[type(module).__name__]
    near = 0.01 * (high - low)
    by_hand = [v <= low + near or v >= high - near for v in outputs.tolist()]
    assert saturation(outputs, module) == sum(by_hand) / 4
    assert math.isnan(saturation(outputs, nn.ReLU()))


def test_holes_stay():
    """Oracle: by inspection."""
    hole = torch.tensor([[math.nan, 1.0], [0.0, 1.0]])
    assert math.isnan(unit_states(hole).dead)
    assert math.isnan(saturation(hole, nn.Tanh()))
    assert math.isnan(unit_states(torch.ones(2, 3)).duplicate)
