"""What layers are called, and how large they are."""

import torch
from torch import nn

import landscape
from landscape.analyses.curvature._layers import layers_of


def test_layers():
    """Oracle: the shapes of a small network, by hand."""
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    problem = landscape.Problem(model, "mse", (torch.zeros(4, 2), torch.zeros(4, 1)))
    assert layers_of(problem, "module") == (["0", "1"], [9, 4])
    assert layers_of(problem, "parameter")[1] == [6, 3, 3, 1]
    alone = landscape.Problem(nn.Linear(2, 1), "mse", (torch.zeros(4, 2), torch.zeros(4, 1)))
    assert layers_of(alone, "module") == (["(model)"], [3])
