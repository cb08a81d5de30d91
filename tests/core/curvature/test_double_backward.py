"""What is differentiated twice, in float64."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from three_orders import derivatives, tensors, wave
from torch.nn.attention import SDPBackend, sdpa_kernel

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
