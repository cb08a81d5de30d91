"""Adversarial smoothing: its direction in closed form, its loss by hand, what it leaves alone."""

import pytest
import torch
from torch import nn

from landscape.core.problem.losses import gaussian_nll
from landscape.errors import InputError
from landscape.reference.training import AdversarialSmoothing, Batch, RegressionLoss, train


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


X = torch.randn(12, 3, generator=generator(1), dtype=torch.float64)
Y = X @ torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64) + 1


def batch(share=1.0):
    return Batch(X, Y, torch.arange(12), 0.0, share)


def linear(outputs=1):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Linear(3, outputs).double()


def test_the_step_of_a_linear_model_is_along_the_signs_of_its_weights():
    """Oracle: closed form: (wx + b − y)² rises by ±sign(w), so |error| grows by the step times Σ|w|·range."""
    model = linear()
    method = AdversarialSmoothing(0.03, "mse")
    method.begin(model, (X, Y), generator())
    got = method(model, batch(), generator())
    reach = 0.03 * ((X.max(0).values - X.min(0).values) * model.weight[0].abs()).sum()
    want = (((model(X)[:, 0] - Y).abs() + reach) ** 2).mean()
    torch.testing.assert_close(got, want)


def test_no_gradient_flows_through_the_moved_inputs():
    """Oracle: the gradient of the loss on inputs moved beforehand; an input that is constant stays."""
    x = X.clone()
    x[:, 1] = 4.0
    model = linear(2)
    method = AdversarialSmoothing(0.1)
    method.begin(model, (x, Y), generator())
    got = torch.autograd.grad(
        method(model, Batch(x, Y, torch.arange(12), 0.0), generator()), list(model.parameters())
    )
    leaf = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(gaussian_nll(model(leaf), Y).sum(), leaf)
    moved = x + 0.1 * (x.max(0).values - x.min(0).values) * slope.sign()
    assert (moved[:, 1] == 4.0).all()
    want = torch.autograd.grad(gaussian_nll(model(moved), Y).mean(), list(model.parameters()))
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b)


def test_a_share_of_zero_is_the_loss_itself():
    """Oracle: `RegressionLoss`."""
    model = linear(2)
    method = AdversarialSmoothing(0.0)
    method.begin(model, (X, Y), generator())
    torch.testing.assert_close(
        method(model, batch(), generator()), RegressionLoss()(model, batch(), generator())
    )


def test_batchnorm_keeps_the_statistics_of_the_images(tmp_path):
    """Oracle: a training without the method, whose first step sees the same inputs."""
    kept = []
    for objective in (RegressionLoss(), RegressionLoss() + AdversarialSmoothing(0.05)):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2))
        path = tmp_path / f"{len(kept)}.safetensors"
        data = (X.float(), Y.float())
        train(model, data, data, path=path, epochs=1, batch_size=12, loss="gaussian_nll", objective=objective)
        kept.append(model[0].running_mean)
    assert torch.equal(*kept)


def test_what_cannot_be_used_is_named():
    """Oracle: the sentences the user must see."""
    for make, sentence in (
        (lambda: AdversarialSmoothing(-1), "share must be at least 0"),
        (lambda: AdversarialSmoothing(loss="nll"), "no loss 'nll'"),
        (lambda: RegressionLoss("cross_entropy"), "gaussian_nll or mse, not 'cross_entropy'"),
    ):
        with pytest.raises(InputError, match=sentence):
            make()
    method = AdversarialSmoothing()
    method.begin(linear(2), (X, Y), generator())
    with pytest.raises(InputError, match="no loss of mixed examples"):
        method(linear(2), batch(0.5), generator())
