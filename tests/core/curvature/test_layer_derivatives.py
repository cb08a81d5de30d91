"""Written-out second derivatives against torch's own, in float64."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from three_orders import derivatives, tensors, wave

from landscape.core.curvature.double_backward import twice_differentiable, unread_gradient

MEAN, VAR = torch.tensor([0.3, -2.0, 5.0]).double(), torch.tensor([0.5, 2.0, 0.1]).double()

LAYERS = {
    "conv1d": (lambda x, w, b: F.conv1d(x, w, b, 2, 1, 2), (2, 3, 9), (4, 3, 3), (4,)),
    "conv2d": (lambda x, w, b: F.conv2d(x, w, b, (2, 1), (1, 0), (1, 2)), (2, 3, 5, 6), (4, 3, 3, 2), (4,)),
    "conv2d_groups": (lambda x, w, b: F.conv2d(x, w, b, 1, 1, groups=2), (2, 4, 4, 4), (6, 2, 3, 3), (6,)),
    "conv2d_no_bias": (lambda x, w: F.conv2d(x, w, stride=2), (2, 3, 5, 5), (4, 3, 1, 1)),
    "conv2d_same": (lambda x, w: F.conv2d(x, w, padding="same"), (2, 3, 4, 4), (4, 3, 3, 3)),
    "conv2d_one_image": (lambda x, w: F.conv2d(x, w), (3, 4, 4), (4, 3, 3, 3)),
    "conv3d": (lambda x, w, b: F.conv3d(x, w, b, 1, 1), (1, 2, 3, 3, 4), (2, 2, 2, 2, 2), (2,)),
    "linear": (lambda x, w, b: F.linear(x, w, b), (2, 5, 3), (4, 3), (4,)),
    "linear_no_bias": (lambda x, w: F.linear(x, w), (5, 3), (4, 3)),
    "linear_one_vector": (lambda x, w, b: F.linear(x, w, bias=b), (3,), (4, 3), (4,)),
    "batch_norm": (lambda x, w, b: F.batch_norm(x, MEAN, VAR, w, b), (4, 3, 2, 2), (3,), (3,)),
    "batch_norm_flat": (lambda x, w, b: F.batch_norm(x, MEAN, VAR, w, b, eps=0.1), (4, 3), (3,), (3,)),
    "batch_norm_no_affine": (lambda x: F.batch_norm(x, MEAN, VAR), (4, 3, 2, 2)),
    "batch_norm_train": (lambda x, w, b: F.batch_norm(x, None, None, w, b, True), (4, 3, 2, 2), (3,), (3,)),
}

every_layer = pytest.mark.parametrize("name", LAYERS)


@every_layer
def test_three_orders_of_derivatives_are_those_of_torch(name):
    """Oracle: torch's own derivatives of the same layer; torch 2.14 has no third ones of batch statistics."""
    layer, *shapes = LAYERS[name]
    inputs = tensors(*shapes)
    try:
        expected = derivatives(layer, inputs)
    except RuntimeError as error:
        if "3rd+ order" not in str(error):
            raise
        pytest.skip(str(error))
    with twice_differentiable():
        found = derivatives(layer, inputs)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11 * float(b.detach().abs().max()))


@every_layer
def test_second_derivatives_of_some_inputs_only(name):
    """Oracle: torch's own, when all inputs but one are constants."""
    layer, *shapes = LAYERS[name]
    for moving in range(len(shapes)):
        inputs = [t.detach() for t in tensors(*shapes)]
        inputs[moving].requires_grad_()
        products = []
        for context in (twice_differentiable(), torch.enable_grad()):
            with context:
                (g,) = torch.autograd.grad(wave(layer(*inputs)), inputs[moving], create_graph=True)
                products.append(torch.autograd.grad(wave(g), inputs[moving])[0])
        torch.testing.assert_close(*products, rtol=1e-11, atol=1e-11)


@every_layer
def test_the_adjoint_of_the_adjoint_is_the_jacobian(name):
    """Oracle: the whole Jacobian by plain reverse mode, times the vector."""
    layer, *shapes = LAYERS[name]
    inputs, tangents = tensors(*shapes), [t.detach() for t in tensors(*shapes, seed=1)]
    with twice_differentiable(adjoint=True):
        y = layer(*inputs)
        dual = torch.zeros_like(y, requires_grad=True)
        pulled = torch.autograd.grad(y, inputs, dual, create_graph=True)
        (found,) = torch.autograd.grad(pulled, dual, tangents)
    jacobians = torch.autograd.functional.jacobian(layer, tuple(inputs))
    expected = sum(torch.tensordot(J, t, t.ndim) for J, t in zip(jacobians, tangents, strict=True))
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-12)


def test_single_cotangents():
    """Oracle: torch's own; each gradient differentiated alone, so that the others' parts are absent."""
    for layer, *shapes in (LAYERS["conv2d"], LAYERS["linear"], LAYERS["batch_norm"]):
        inputs = tensors(*shapes)
        for which in range(3):
            products = []
            for context in (twice_differentiable(), torch.enable_grad()):
                with context:
                    g = torch.autograd.grad(wave(layer(*inputs)), inputs, create_graph=True)[which]
                    products.append(torch.autograd.grad(wave(g), inputs))
            for a, b in zip(*products, strict=True):
                torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


def test_inside_vmap():
    """Oracle: the same layer over the whole batch; models may map over examples themselves."""
    layer, *shapes = LAYERS["conv2d"]
    x, w, b = tensors(*shapes)
    results = []
    for mapped in (True, False):
        with twice_differentiable():
            each = torch.func.vmap(lambda image: layer(image[None], w, b)[0]) if mapped else None
            y = each(x) if mapped else layer(x, w, b)
            g = torch.autograd.grad(wave(y), (w, b), create_graph=True)
            results.append([y, *g, *torch.autograd.grad(sum(wave(t) for t in g), (x, w))])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


def test_autocast_is_left_to_torch():
    """Oracle: torch's own result, bit for bit."""
    layer, *shapes = LAYERS["conv2d"]
    inputs = [t.detach().float().requires_grad_() for t in tensors(*shapes)]
    with torch.autocast("cpu", torch.bfloat16):
        expected = layer(*inputs)
        with twice_differentiable():
            found = layer(*inputs)
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, expected)
    assert all(t is not None for t in torch.autograd.grad(found.sum(), inputs))


@every_layer
def test_products_of_a_gradient_that_is_not_read(name):
    """Oracle: torch's own products with the Hessian; the entries themselves are not computed."""
    layer, *shapes = LAYERS[name]
    inputs, tangents = tensors(*shapes), [t.detach() for t in tensors(*shapes, seed=1)]
    expected = torch.autograd.grad(wave(layer(*inputs)), inputs, create_graph=True)
    expected = torch.autograd.grad(expected, inputs, tangents, allow_unused=True)
    with twice_differentiable():
        found = unread_gradient(wave(layer(*inputs)), inputs)
    if name in ("conv2d", "linear", "batch_norm"):
        assert not any(g.any() for g in found[1:])
    found = torch.autograd.grad(found, inputs, tangents, allow_unused=True)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11 * float(b.abs().max()))


@every_layer
def test_jacobian_products_of_an_adjoint_that_is_not_read(name):
    """Oracle: the whole Jacobian by plain reverse mode, times the vector, and its transpose."""
    layer, *shapes = LAYERS[name]
    inputs, tangents = tensors(*shapes), [t.detach() for t in tensors(*shapes, seed=1)]
    with twice_differentiable(adjoint=True):
        y = layer(*inputs)
        dual = torch.zeros_like(y, requires_grad=True)
        pulled = unread_gradient(y, inputs, dual)
    (found,) = torch.autograd.grad(pulled, dual, tangents, retain_graph=True)
    back = torch.autograd.grad(y, inputs, found)
    jacobians = torch.autograd.functional.jacobian(layer, tuple(inputs))
    expected = sum(torch.tensordot(J, t, t.ndim) for J, t in zip(jacobians, tangents, strict=True))
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-12)
    for product, J in zip(back, jacobians, strict=True):
        torch.testing.assert_close(
            product, torch.tensordot(expected, J, expected.ndim), rtol=1e-10, atol=1e-11
        )


def test_weights_that_are_made_of_others():
    """Oracle: torch's own products; the gradient of a made weight enters those of what it is made of."""
    x, v, g, b = tensors((5, 3), (4, 3), (4, 1), (4,))

    def layer(x, v, g, b):
        w = g * v / v.norm(dim=1, keepdim=True)
        return F.linear(F.linear(x, w, b).tanh() @ w, w, b.exp())

    products = []
    tangents = [t.detach() for t in tensors((5, 3), (4, 3), (4, 1), (4,), seed=1)]
    for ours in (False, True):
        if ours:
            with twice_differentiable():
                slopes = unread_gradient(wave(layer(x, v, g, b)), (x, v, g, b))
        else:
            slopes = torch.autograd.grad(wave(layer(x, v, g, b)), (x, v, g, b), create_graph=True)
        products.append(torch.autograd.grad(slopes, (x, v, g, b), tangents))
    for a, b in zip(*products, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


def test_gradients_that_a_model_takes_itself_are_read():
    """Oracle: torch's own products of a loss with a gradient by the weights in it."""
    x, w, b = tensors((5, 3), (4, 3), (4,))

    def loss():
        y = F.linear(x, w, b)
        inner = torch.autograd.grad(wave(y), (x, w), create_graph=True)
        return wave(y) + sum(wave(g) for g in inner)

    slopes = torch.autograd.grad(loss(), (w, b), create_graph=True)
    expected = torch.autograd.grad(wave(slopes[0]) + wave(slopes[1]), (w, b))
    vectors = [torch.autograd.grad(wave(s), s)[0] for s in slopes]
    with twice_differentiable():
        found = unread_gradient(loss(), (w, b))
    found = torch.autograd.grad(found, (w, b), vectors)
    for a, c in zip(found, expected, strict=True):
        torch.testing.assert_close(a, c, rtol=1e-10, atol=1e-10 * float(c.abs().max()))
