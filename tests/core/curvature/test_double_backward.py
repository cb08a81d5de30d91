"""What is differentiated twice, in float64."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from three_orders import derivatives, tensors, wave
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

from landscape.core.curvature.double_backward import twice_differentiable, unread_gradient


def test_attention_and_weight_norm():
    """Oracle: attention written out in torch; gradgradcheck for weight normalisation."""
    q, k, v = tensors((2, 3, 4), (2, 3, 4), (2, 3, 4))

    def written_out(q, k, v):
        return (q @ k.mT / 2).softmax(-1) @ v

    expected = derivatives(written_out, (q, k, v))
    with twice_differentiable():
        found = derivatives(F.scaled_dot_product_attention, (q, k, v))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-11)
    with twice_differentiable(), sdpa_kernel(SDPBackend.MATH):
        assert torch.autograd.gradgradcheck(lambda v, g: torch._weight_norm(v, g, 0), tensors((3, 4), (3, 1)))


def test_an_unread_gradient_outside_is_a_gradient():
    """Oracle: torch's own: no layer leaves entries out, nor any after what failed."""
    x, w = tensors((5, 3), (4, 3))
    expected = torch.autograd.grad(wave(F.linear(x, w)), (x, w))
    for found in (unread_gradient(wave(F.linear(x, w)), (x, w)),):
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    with twice_differentiable():
        y = wave(F.linear(x, w))
        try:
            unread_gradient(y, [torch.ones(1)])
        except RuntimeError:
            found = torch.autograd.grad(y, (x, w), create_graph=True)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


# ReLU in an adjoint

SHAPES = (5, 3), (4, 3), (4,)


def layer(x, w, b):
    return torch.relu(F.linear(F.relu(x), w, b)).square().relu()


def test_jacobian_products_of_an_adjoint_that_is_not_read():
    """Oracle: the whole Jacobian by plain reverse mode, times the vector."""
    inputs, tangents = tensors(*SHAPES), [t.detach() for t in tensors(*SHAPES, seed=1)]
    with twice_differentiable(adjoint=True):
        y = layer(*inputs)
        dual = torch.zeros_like(y, requires_grad=True)
        pulled = unread_gradient(y, inputs, dual)
    (found,) = torch.autograd.grad(pulled, dual, tangents)
    jacobians = torch.autograd.functional.jacobian(layer, tuple(inputs))
    expected = sum(torch.tensordot(J, t, t.ndim) for J, t in zip(jacobians, tangents, strict=True))
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("kink", [0.0, -0.0, float("nan")])
def test_a_kink_has_no_slope(kink):
    """Oracle: torch's own, bit for bit."""
    x = torch.tensor([kink, 1.0, -1.0], requires_grad=True)
    expected = torch.autograd.grad(F.relu(x).sum(), x)[0]
    with twice_differentiable(adjoint=True):
        found = torch.autograd.grad(F.relu(x).sum(), x, create_graph=True)[0]
    assert torch.equal(found, expected)


def test_one_that_writes_to_its_input_still_does():
    """Oracle: the input afterwards, which a shortcut may read."""
    x = torch.randn(4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    with twice_differentiable(adjoint=True):
        y = x * 1.0
        F.relu(y, inplace=True)
    assert torch.equal(y, x.clamp(min=0))


def test_inside_vmap():
    """Oracle: the same over the whole batch."""
    x, w, b = tensors(*SHAPES)
    results = []
    for mapped in (True, False):
        with twice_differentiable(adjoint=True):
            y = torch.func.vmap(lambda row: layer(row[None], w, b)[0])(x) if mapped else layer(x, w, b)
            dual = torch.zeros_like(y, requires_grad=True)
            pulled = torch.autograd.grad(y, (w, b), dual, create_graph=True)
            results.append([y, torch.autograd.grad(sum(wave(t) for t in pulled), dual)[0]])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


class Passes(TorchDispatchMode):
    """Counts operations by name."""

    def __init__(self):
        super().__init__()
        self.count = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


def test_nothing_is_computed_that_nobody_reads():
    """Oracle: the operations: none of slopes for the adjoint, one for each ReLU and direction at its use."""
    inputs, tangents = tensors(*SHAPES), [t.detach() for t in tensors(*SHAPES, seed=1)]
    with twice_differentiable(adjoint=True):
        y = layer(*inputs)
        dual = torch.zeros_like(y, requires_grad=True)
        with Passes() as passes:
            pulled = unread_gradient(y, inputs, dual)
    assert passes.count["threshold_backward"] == 0
    with Passes() as passes:
        (moved,) = torch.autograd.grad(pulled, dual, tangents, retain_graph=True)
        torch.autograd.grad(y, inputs, moved)
    assert passes.count["threshold_backward"] == 2 * 3
