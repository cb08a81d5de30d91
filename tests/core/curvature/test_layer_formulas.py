"""Formulas of layers against torch's own values and differences, in float64."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from cases import generator

from landscape.core.curvature.double_backward import twice_differentiable


def tensors(*shapes, seed=0):
    g = generator(seed)
    return [torch.randn(s, generator=g, dtype=torch.float64).requires_grad_() for s in shapes]


def wave(y):
    return (y.sin() * torch.arange(1.0, y.numel() + 1, dtype=y.dtype).cos().view(y.shape)).sum()


@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, float("inf")])
def test_distances(p):
    """Oracle: torch's own values and gradients, and differences of these for the second derivatives."""
    x, y = tensors((2, 4, 3), (2, 5, 3))
    expected = torch.autograd.grad(wave(torch.cdist(x, y, p)), (x, y))
    ahead, behind = (torch.autograd.grad(wave(torch.cdist(x + h, y, p)), x)[0] for h in (1e-6, -1e-6))
    with twice_differentiable():
        found = torch.autograd.grad(wave(torch.cdist(x, y, p)), (x, y), create_graph=True)
        (product,) = torch.autograd.grad(found[0].sum(), x)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(product, (ahead - behind) / 2e-6, rtol=1e-6, atol=1e-6)


def test_distances_of_points_that_coincide():
    """Torch's gradient of a distance of zero is zero, and so is ours; nothing becomes NaN."""
    (x,) = tensors((4, 3))
    expected = torch.autograd.grad(wave(torch.cdist(x, x)), x)[0]
    with twice_differentiable():
        (found,) = torch.autograd.grad(wave(torch.cdist(x, x)), x, create_graph=True)
        (product,) = torch.autograd.grad(found.square().sum(), x)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    assert product.isfinite().all()


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("weighted", [False, True])
def test_multi_margin_losses(weighted, power, reduction):
    """Oracle: torch's own values and gradients, and differences of these for the second derivatives."""
    (x,) = tensors((7, 4))
    weight = torch.tensor([1.0, 2.0, 0.5, 3.0]).double() if weighted else None
    y = torch.arange(7) % 4

    def loss(x):
        return F.multi_margin_loss(x, y, power, 0.7, weight, reduction=reduction).sum()

    value, (expected,) = loss(x), torch.autograd.grad(loss(x), x)
    (v,) = tensors((7, 4), seed=1)
    ahead, behind = (torch.autograd.grad(loss(x + h * v.detach()), x)[0] for h in (1e-6, -1e-6))
    with twice_differentiable():
        torch.testing.assert_close(loss(x), value)
        (found,) = torch.autograd.grad(loss(x), x, create_graph=True)
        torch.testing.assert_close(found, expected)
        product = torch.zeros_like(x)
        if found.requires_grad:
            (moved,) = torch.autograd.grad((found * v.detach()).sum(), x, allow_unused=True)
            product = product if moved is None else moved
    torch.testing.assert_close(product, (ahead - behind) / 2e-6, rtol=1e-6, atol=1e-6)


def test_multi_margin_loss_of_one_example():
    """Oracle: torch's own value of scores without a batch axis."""
    (x,) = tensors((4,))
    y = torch.tensor(2)
    with twice_differentiable():
        found = F.multi_margin_loss(x, y)
    torch.testing.assert_close(found, F.multi_margin_loss(x, y))
