"""The loss of DUQ by its formula, and its penalty by maps whose slope is known."""

import pytest
import torch
from torch import nn

from landscape.errors import InputError
from landscape.reference.training import Batch, KernelLoss
from landscape.reference.training.methods.kernel import gradient_penalty
from landscape.reference.uncertainty import DUQ


def network():
    torch.manual_seed(0)
    return DUQ(nn.Linear(3, 5), 5, classes=4, embedding=6, length=1.0).double()


def batch():
    x, y = torch.randn(9, 3, dtype=torch.float64), torch.arange(9) % 4
    return Batch(x, y, torch.arange(9), 0.0)


def test_the_loss_is_binary_cross_entropy_and_the_centroids_follow():
    """Oracle: torch's binary cross-entropy of the kernels."""
    model, b = network().train(), batch()
    expected = nn.functional.binary_cross_entropy(
        model(b.inputs), nn.functional.one_hot(b.targets, 4).double()
    )
    before = model.sums.clone()
    torch.testing.assert_close(KernelLoss(0.0)(model, b, torch.Generator()), expected)
    assert not torch.equal(model.sums, before)


def test_the_penalty_is_that_of_the_slope_by_finite_differences():
    """Oracle: central differences of Σ K_c by each input."""
    model, b = network().train(), batch()
    plain = KernelLoss(0.0)(model, b, torch.Generator())
    model = network().train()
    full = KernelLoss(0.5)(model, b, torch.Generator())
    model = network().train()
    total = lambda x: model(x).sum(1)  # noqa: E731
    step = 1e-6 * torch.eye(3, dtype=torch.float64)
    slopes = torch.stack([(total(b.inputs + e) - total(b.inputs - e)) / 2e-6 for e in step], 1)
    penalty = (slopes.norm(dim=1) - 1).square().mean()
    torch.testing.assert_close(full, plain + 0.5 * penalty)


def test_an_isometry_has_no_penalty():
    """Oracle: the distance to a point has slope 1 everywhere but there."""
    x = torch.randn(20, 3).requires_grad_(True)
    assert gradient_penalty(x.norm(dim=1), x).item() == pytest.approx(0.0, abs=1e-10)
    assert gradient_penalty(3 * x[:, 0], x).item() == pytest.approx(4.0)


def test_a_network_without_kernels_is_named():
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match="Linear has no kernels"):
        KernelLoss().begin(nn.Linear(3, 2), None, torch.Generator())
    with pytest.raises(InputError, match="not negative"):
        KernelLoss(-1.0)
