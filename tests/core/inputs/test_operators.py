"""Hessian and Fisher matrix by the pixels: exact matrices of small models, and when the two are one."""

from functools import partial

import pytest
import torch
from torch import nn

from landscape.core.inputs.attacks import class_gradients, cross_entropies
from landscape.core.inputs.operators import InputFisher, InputHessian, exact_fisher


def net(act, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return (
            nn.Sequential(
                nn.Conv2d(1, 3, 3, padding=1),
                nn.BatchNorm2d(3),
                act,
                nn.MaxPool2d(2),
                nn.Flatten(),
                nn.Linear(12, 4),
            )
            .double()
            .eval()
        )


def images(n=5):
    return torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def blocks(operator, n=5):
    whole = operator.dense().reshape(n, 16, n, 16)
    diagonal = torch.stack([whole[i, :, i] for i in range(n)])
    off = whole.clone()
    for i in range(n):
        off[i, :, i] = 0
    return diagonal, off


def fisher_by_hand(model, x):
    made = []
    for image in x:
        J = torch.autograd.functional.jacobian(lambda p: model(p[None])[0], image).flatten(1)
        p = model(image[None])[0].softmax(0)
        made.append(J.T @ (p.diag() - p.outer(p)) @ J)
    return torch.stack(made).detach()


def test_hessian_is_that_of_each_image():
    """Oracle: torch's own Hessian of the loss of one image, by another route than products."""
    model, x, y = net(nn.GELU()), images(), torch.arange(5) % 4
    operator = InputHessian(lambda pixels: cross_entropies(model(pixels), y), x)
    diagonal, off = blocks(operator)
    assert not off.any()
    for i in range(5):
        loss = lambda p, i=i: cross_entropies(model(p[None]), y[i : i + 1])[0]  # noqa: E731
        torch.testing.assert_close(diagonal[i], torch.autograd.functional.hessian(loss, x[i]).reshape(16, 16))
    gradient = torch.autograd.grad(cross_entropies(model(x.requires_grad_()), y).sum(), x)[0]
    torch.testing.assert_close(operator.gradient, gradient)


@pytest.mark.parametrize("act", [nn.GELU(), nn.ReLU(inplace=True)])
def test_fisher_is_the_formula_symmetric_positive_and_of_low_rank(act):
    """Oracle: Jᵀ(diag p − ppᵀ)J with torch's own Jacobian of one image; rank at most K − 1."""
    model, x = net(act), images()
    operator = InputFisher(model, x)
    diagonal, off = blocks(operator)
    want = fisher_by_hand(model, x)
    assert not off.any()
    torch.testing.assert_close(diagonal, want)
    torch.testing.assert_close(diagonal, diagonal.mT)
    values = torch.linalg.eigvalsh(want).flip(1)
    assert (values > -1e-12).all() and (values[:, 3:].abs() < 1e-12).all()
    found = exact_fisher(*class_gradients(model, x), count=6)
    torch.testing.assert_close(
        found.values, values[:, :6].where(torch.arange(6) < 3, 0.0), atol=1e-12, rtol=1e-9
    )
    torch.testing.assert_close(found.trace, want.diagonal(dim1=1, dim2=2).sum(1))
    torch.testing.assert_close(found.square, want.square().sum((1, 2)))
    assert ((found.rank >= 1 - 1e-12) & (found.rank <= 3)).all()
    moved = operator.blocks(found.vectors.flatten(1))
    torch.testing.assert_close(moved, found.values[:, :1] * found.vectors.flatten(1))


def test_softmax_linear_models_have_one_matrix_for_both():
    """Oracle: H = F = Wᵀ(diag p − ppᵀ)W, whatever the label."""
    W = torch.randn(4, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model = lambda pixels: pixels.flatten(1) @ W.T  # noqa: E731
    x = images()
    p = model(x).softmax(1)
    want = torch.stack([W.T @ (row.diag() - row.outer(row)) @ W for row in p])
    for label in range(4):
        losses = partial(lambda y, pixels: cross_entropies(model(pixels), y), torch.full((5,), label))
        torch.testing.assert_close(blocks(InputHessian(losses, x))[0], want, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(blocks(InputFisher(model, x))[0], want, rtol=1e-12, atol=1e-12)


def test_hessian_of_piecewise_linear_nets_is_the_fisher_matrix_and_of_others_is_not():
    """Oracle: logits that are linear near an image leave H = Jᵀ(∂²ℓ/∂z²)J = F."""
    x, y = images(), torch.arange(5) % 4
    gaps = []
    for act in (nn.ReLU(), nn.GELU()):
        model = net(act)
        hessian = blocks(InputHessian(lambda pixels: cross_entropies(model(pixels), y), x))[0]  # noqa: B023
        fisher = fisher_by_hand(model, x)
        gaps.append(((hessian - fisher).norm() / fisher.norm()).item())
    assert gaps[0] < 1e-12 and gaps[1] > 0.01


def test_one_product_with_a_block_and_a_vector_agree():
    """Oracle: the dense matrix times the vectors."""
    model, x, y = net(nn.GELU()), images(), torch.arange(5) % 4
    V = torch.randn(80, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for operator in (InputFisher(model, x), InputHessian(lambda p: cross_entropies(model(p), y), x)):
        torch.testing.assert_close(operator @ V, operator.dense() @ V)
        torch.testing.assert_close(operator.blocks(V[:, 0].reshape(5, 16)).reshape(-1), operator @ V[:, 0])


def test_constant_and_broken_models():
    """Oracle: no curvature without dependence; NaN of one image stays with it."""
    x = images()
    constant = lambda pixels: torch.ones(len(pixels), 3, dtype=torch.float64)  # noqa: E731
    assert not (InputFisher(constant, x) @ torch.ones(80)).any()
    assert not (
        InputHessian(lambda p: cross_entropies(constant(p), torch.zeros(5).long()), x) @ torch.ones(80)
    ).any()
    logits, gradients = class_gradients(net(nn.ReLU()), x)
    gradients[2] = torch.nan
    found = exact_fisher(logits, gradients)
    assert found.values[2].isnan().all() and found.trace[2].isnan()
    assert found.values[[0, 1, 3, 4]].isfinite().all()
