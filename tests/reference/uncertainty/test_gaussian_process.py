import pytest
import torch

from landscape.core.problem.problem import Problem
from landscape.errors import InputError
from landscape.reference.uncertainty import GaussianProcess, gaussian_process

X = torch.rand(7, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = torch.sin(4 * X).sum(1)


def test_it_is_scikit_learns():
    """Oracle: the mean and the standard deviation of scikit-learn's process, and the length that it finds."""
    process = pytest.importorskip("sklearn.gaussian_process")
    kernels = process.kernels
    kernel = kernels.ConstantKernel(4.0, "fixed") * kernels.RBF(1.0, (1e-2, 1e2))
    known = process.GaussianProcessRegressor(kernel, alpha=1e-4, random_state=0, n_restarts_optimizer=4)
    known.fit(X.numpy(), Y.numpy())
    ours = gaussian_process([], (X, Y), noise=1e-4)
    assert ours.length == pytest.approx(known.kernel_.k2.length_scale, rel=1e-6)
    at = torch.rand(50, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    mean, sd = known.predict(at.numpy(), return_std=True)
    draws = ours.draws(at)
    torch.testing.assert_close(draws.mean[0, :, 0], torch.from_numpy(mean), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(draws.variance[0, :, 0].sqrt(), torch.from_numpy(sd), rtol=1e-6, atol=1e-7)


def test_one_datum_has_a_closed_form():
    """Oracle: y v/(v + n) and v − v² k²/(v + n) by hand; far away the prior; several targets at once."""
    x, y = torch.zeros(1, 1), torch.tensor([[3.0, -1.0]])
    process = GaussianProcess(x, y, length=2.0, variance=4.0, noise=1.0)
    draws = process.draws(torch.tensor([[0.0], [1.0], [1e3]]))
    near = torch.tensor([1.0, 0.125, 5e5]).neg().exp()
    near[0] = 1.0
    torch.testing.assert_close(draws.mean[0], 0.8 * near[:, None] * y)
    torch.testing.assert_close(draws.variance[0, :, 1], 4.0 - 3.2 * near**2)
    assert Problem(process, "gaussian_nll", (x, y)).loss() > 0
    state = process.state_dict()
    assert {"points", "factor", "weights"} == set(state)


def test_what_cannot_be_is_said():
    """Oracle: the sentences the user must see."""
    with pytest.raises(InputError, match="length is positive and finite, not 0"):
        GaussianProcess(X, Y, 0.0)
    with pytest.raises(InputError, match="the matrix of the data is singular; a noise above 1e-30 helps"):
        GaussianProcess(X[[0, 0]], Y[[0, 1]], 1.0, noise=1e-30)


def test_a_cast_leaves_its_arithmetic_in_float64():
    """Oracle: the process before the cast, but for rounding of what it has stored."""
    x = torch.linspace(0, 1, 5)[:, None]
    process = GaussianProcess(x, x.sin(), length=0.5, noise=1e-2)
    before = process.draws(x)
    after = process.float().draws(x)
    torch.testing.assert_close(after.mean, before.mean, rtol=1e-3, atol=1e-3)
