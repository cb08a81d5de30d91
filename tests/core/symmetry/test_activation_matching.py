"""Matching by activations against NumPy and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import nn

from landscape.core.symmetry.alignment import align


def build(make, seed=0):
    """A model in evaluation mode that has moved away from its initial constants."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = make().eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
            for name, buffer in model.named_buffers():
                if "running" in name:
                    buffer.add_(0.2 * torch.rand_like(buffer))
    return model


def state_of(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def two_layers(seed):
    return build(lambda: nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)), seed).double()


def test_activations_pair_units_by_correlation():
    """Oracle: NumPy's correlations of the units before and after the nonlinearity, and SciPy's assignment."""
    a, b = two_layers(1), two_layers(2)
    x = torch.randn(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    tables = []
    for depth in (1, 2):
        features = [model[:depth](x).detach().numpy().T for model in (a, b)]
        tables.append(np.corrcoef(*features)[:5, 5:])
    table = (tables[0] + tables[1]) / 2
    rows, columns = linear_sum_assignment(table, maximize=True)
    found = align(a, state_of(a), state_of(b), method="activations", inputs=[x[:20], x[20:49], x[49:]])
    assert found.permutations["0.weight[0]"].tolist() == columns.tolist()
    assert found.objective_after == pytest.approx(table[rows, columns].mean(), rel=1e-9)
    assert found.objective_before == pytest.approx(np.diag(table).mean(), rel=1e-9)
