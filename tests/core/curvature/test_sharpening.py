"""How eigenvalues change with the parameters, where that is known."""

import numpy as np
import pytest
import torch
from cases import CASES
from torch import nn

import landscape
from landscape.core.curvature.sharpening import eigenvalue_gradient


class Product(nn.Module):
    """L = ½(ab − 1)² by half the squared error."""

    def __init__(self, a, dtype):
        super().__init__()
        self.theta = nn.Parameter(torch.tensor([a, a], dtype=dtype))

    def forward(self, x):
        return x * self.theta.prod()


@pytest.mark.parametrize(("dtype", "rel"), [(torch.float64, 1e-7), (torch.float32, 1e-2)])
def test_two_numbers_multiplied(dtype, rel):
    """Oracle: closed form for a = b: λ = 3a² − 1, ∇λ = (3a, 3a) along the flow (Damian et al. 2023)."""
    a = 1.4
    data = (torch.ones(1, 1, dtype=dtype), torch.ones(1, 1, dtype=dtype))
    problem = landscape.Problem(Product(a, dtype), "half_squared_error", data)
    u = torch.ones(2, dtype=dtype) / 2**0.5
    assert float(u @ (landscape.hessian(problem) @ u)) == pytest.approx(3 * a * a - 1, rel=1e-5)
    found = eigenvalue_gradient(problem, 5.0 * u)
    np.testing.assert_allclose(found.gradient, [3 * a, 3 * a], rtol=rel)
    rate = -float(problem.gradient().double() @ found.gradient)
    assert rate == pytest.approx(-6 * a * a * (a * a - 1), rel=rel)


def test_a_network_with_batch_statistics():
    """Oracle: NumPy's largest eigenvalue a little way along a direction; torch has no third derivatives."""
    problem = CASES["conv_batchnorm"].problem(batchnorm="batch")
    w, U = np.linalg.eigh(landscape.hessian(problem).dense().numpy())
    g = problem.gradient()
    found = eigenvalue_gradient(problem, torch.from_numpy(U[:, -1].copy()))
    ends = []
    for sign in (1, -1):
        with problem.at(problem.theta + sign * 1e-4 * g):
            ends.append(np.linalg.eigvalsh(landscape.hessian(problem).dense().numpy())[-1])
    exact = (ends[0] - ends[1]) / 2e-4
    assert float(g @ found.gradient) == pytest.approx(exact, rel=1e-3)
    assert float((found.gradient - found.coarse).norm()) < 1e-2 * float(found.gradient.norm())
    assert w[-1] > 0
