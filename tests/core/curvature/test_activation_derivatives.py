"""ReLU's derivatives against torch's own, in float64; what is zero is not computed."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from three_orders import derivatives, tensors, wave
from torch.utils._python_dispatch import TorchDispatchMode

from landscape.core.curvature.double_backward import twice_differentiable, unread_gradient

SHAPES = (5, 3), (4, 3), (4,)


def layer(x, w, b):
    return torch.relu(F.linear(F.relu(x), w, b)).square().relu()


def test_three_orders_of_derivatives_are_those_of_torch():
    """Oracle: torch's own derivatives of the same functions."""
    inputs = tensors(*SHAPES)
    expected = derivatives(layer, inputs)
    with twice_differentiable():
        found = derivatives(layer, inputs)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11 * float(b.detach().abs().max()))


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
    with twice_differentiable():
        found = torch.autograd.grad(F.relu(x).sum(), x, create_graph=True)[0]
    assert torch.equal(found, expected)


def test_one_that_writes_to_its_input_still_does():
    """Oracle: the input afterwards, which a shortcut may read."""
    x = torch.randn(4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    with twice_differentiable():
        y = x * 1.0
        F.relu(y, inplace=True)
    assert torch.equal(y, x.clamp(min=0))


def test_inside_vmap():
    """Oracle: the same over the whole batch."""
    x, w, b = tensors(*SHAPES)
    results = []
    for mapped in (True, False):
        with twice_differentiable():
            y = torch.func.vmap(lambda row: layer(row[None], w, b)[0])(x) if mapped else layer(x, w, b)
            g = torch.autograd.grad(wave(y), (w, b), create_graph=True)
            results.append([y, *g, *torch.autograd.grad(sum(wave(t) for t in g), (x, w))])
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


def test_no_map_of_zeros_is_made():
    """Oracle: the operations: none of zeros for a product, and of an adjoint no slopes but at its use."""
    inputs, tangents = tensors(*SHAPES), [t.detach() for t in tensors(*SHAPES, seed=1)]
    with twice_differentiable():
        slopes = unread_gradient(layer(*inputs).sum(), inputs)
    with Passes() as passes:
        torch.autograd.grad(slopes, inputs, tangents)
    assert passes.count["zeros_like"] == 0 and passes.count["threshold_backward"] > 0
    with twice_differentiable(adjoint=True):
        y = layer(*inputs)
        with Passes() as passes:
            unread_gradient(y, inputs, torch.zeros_like(y, requires_grad=True))
    assert passes.count["threshold_backward"] == 0
