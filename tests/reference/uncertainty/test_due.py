"""DUE against exact Gaussian process regression, and the memory that predictions take."""

import copy
import subprocess
import sys

import pytest
import torch
from torch import nn

from landscape.errors import InputError
from landscape.reference.training import EvidenceBound, train
from landscape.reference.uncertainty import DUE, due_network

gpytorch = pytest.importorskip("gpytorch", reason="DUE needs gpytorch, the extra gp")

MLP = {"builder": "landscape.reference.models:mlp", "kwargs": {"widths": [3, 6, 4]}, "shape": [3]}


def test_predictions_are_those_of_exact_regression():
    """Oracle: the posterior of regression at new points, in closed form, for as many inducing points as data.

    The variational distribution is set to the exact posterior of the process at the data.
    """
    torch.manual_seed(0)
    x, new, y = (torch.randn(n, *d, dtype=torch.float64) for n, d in ((6, (3,)), (9, (3,)), (6, ())))
    model = DUE(nn.Identity(), 3, classes=2, inducing=6).double().eval()
    strategy, noise = model.gp.variational_strategy, 0.1
    with torch.no_grad():
        strategy.inducing_points.copy_(x.expand(2, -1, -1))
        kernel = model.gp.covar_module
        K, across, own = (kernel(a, b).to_dense()[0] for a, b in ((x, x), (new, x), (new, new)))
        gain = torch.linalg.inv(K + noise * torch.eye(6, dtype=torch.float64))
        mean, cov = K @ gain @ y, K - K @ gain @ K
        L = torch.linalg.cholesky(K + 1e-6 * torch.eye(6, dtype=torch.float64))
        white = torch.linalg.inv(L)
        q = strategy._variational_distribution
        q.variational_mean.copy_((white @ mean).expand(2, -1))
        root = torch.linalg.cholesky(white @ cov @ white.T + 1e-12 * torch.eye(6, dtype=torch.float64))
        q.chol_variational_covar.copy_(root.expand(2, -1, -1))
        strategy.variational_params_initialized.fill_(1)
        found_mean, found_variance = model.marginals(new)
    torch.testing.assert_close(found_mean[:, 0], across @ gain @ y, rtol=1e-4, atol=1e-5)
    expected = (own - across @ gain @ across.T).diagonal()
    torch.testing.assert_close(found_variance[:, 1], expected, rtol=1e-3, atol=1e-4)


def test_marginals_are_those_of_the_joint_distribution():
    """Oracle: gpytorch's own joint distribution of twenty points: mean, diagonal of the covariance."""
    torch.manual_seed(0)
    model = due_network(**MLP).eval()
    x = torch.randn(20, 3)
    with torch.no_grad():
        mean, variance = model.marginals(x)
        joint = model.gp(model.body(x))
        covariance = joint.covariance_matrix.diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(mean.T, joint.mean)
    torch.testing.assert_close(variance.T, covariance, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_draws_repeat_however_data_are_cut():
    """Oracle: the same call on parts of the data; the mean over draws of the logits, within 5 errors."""
    model = due_network(**MLP).eval()
    x = torch.randn(12, 3)
    whole = model.draws(x, seed=3)
    assert whole.samples == 32
    parts = torch.cat([model.draws(part, seed=3).log_p for part in x.split(5)], dim=1)
    torch.testing.assert_close(parts, whole.log_p, rtol=1e-4, atol=1e-5)
    gaps = model.draws(x, 2000).log_p
    mean, variance = model.marginals(x)
    found = (gaps[..., 0] - gaps[..., 1]).mean(0)
    spread = ((variance[:, 0] + variance[:, 1]) / 2000).sqrt()
    assert bool(((found - (mean[:, 0] - mean[:, 1])).abs() < 5 * spread).all())


def test_it_learns_and_starts_from_the_features(tmp_path):
    """Oracle: two clusters far apart are told apart; without data the processes know nothing of them."""
    torch.manual_seed(0)
    y = torch.arange(80) % 2
    x = torch.randn(80, 3) + 4 * (2 * y[:, None] - 1)
    model = due_network(**{**MLP, "kwargs": {"widths": [3, 6, 2]}}, inducing=4)
    result = train(model, (x, y), (x, y), path=tmp_path / "w", epochs=15, lr=0.05, objective=EvidenceBound())
    assert result.test_accuracy == 1.0
    with pytest.raises(InputError, match="no Gaussian process"):
        EvidenceBound().begin(nn.Linear(2, 2), (x, y), torch.Generator())
    with pytest.raises(InputError, match="at least one draw"):
        EvidenceBound(0)


def test_two_thousand_points_take_less_than_a_gigabyte():
    """Oracle: the most memory the process has held, by the operating system, libraries included."""
    code = (
        "import resource, torch; from landscape.reference.uncertainty import due_network;"
        "m = due_network('landscape.reference.models:mlp', {'widths': [3, 32, 10]}, [3]).eval();"
        "base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "torch.set_grad_enabled(False); m(torch.randn(2000, 3));"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 2**20  # in kilobytes


def test_predictions_are_those_of_the_parameters_there_are_now():
    """Oracle: a new network of the same state. gpytorch keeps a factor of the kernel in eval mode.

    Two gradients one after the other, and a copy, need it gone too; and torch's own random numbers are left
    alone from the first call on.
    """
    torch.manual_seed(0)
    x = torch.randn(5, 3)
    model = due_network(**MLP).eval()
    state = torch.get_rng_state()
    model(x)
    assert torch.equal(torch.get_rng_state(), state)
    strategy = model.gp.variational_strategy
    with torch.no_grad():
        strategy._variational_distribution.variational_mean.normal_()
        strategy.inducing_points.mul_(3.0)
    fresh = due_network(**MLP).eval()
    fresh.load_state_dict(model.state_dict())
    torch.testing.assert_close(model.marginals(x), fresh.marginals(x), rtol=0, atol=0)
    for one in (model, model, copy.deepcopy(model)):
        one(x).sum().backward()


@torch.no_grad()
def test_the_process_starts_at_features_as_training_sees_them():
    """Oracle: features of a pass in training mode: the length scale is their mean distance.

    In eval mode BatchNorm that has seen nothing would leave them a hundred times smaller here.
    """
    torch.manual_seed(0)
    body = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5))
    body[0].weight.mul_(0.01)
    model, x = DUE(body, 5, classes=2, inducing=4), torch.randn(40, 3)
    model.start(x, torch.Generator())
    assert torch.equal(body[1].running_mean, torch.zeros(5)) and model.training
    expected = torch.pdist(copy.deepcopy(body).train()(x)).mean()
    torch.testing.assert_close(model.gp.covar_module.base_kernel.lengthscale.flatten(), expected.expand(2))
