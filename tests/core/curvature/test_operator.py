"""Hessian and Gauss-Newton against exact Hessians, closed forms and finite differences, in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from cases import CASES, ConvNet, generator, images, mlp, regression, uneven, vectors
from torch import nn
from torch.func import functional_call, jacrev
from torch.nn.attention import SDPBackend, sdpa_kernel

import landscape
from landscape import Problem
from landscape.errors import InputError

every_case = pytest.mark.parametrize("name", CASES)


@every_case
def test_hessian_is_the_exact_one(name):
    """Oracle: plain torch's mean loss on the whole data, differentiated twice entry by entry."""
    H = landscape.hessian(CASES[name].problem(batch_size=5)).dense()
    exact = CASES[name].exact_hessian()
    torch.testing.assert_close(H, exact, rtol=1e-10, atol=1e-13 * float(exact.abs().max()) + 1e-14)
    torch.testing.assert_close(H, H.T, rtol=0, atol=1e-13)


@every_case
def test_gauss_newton_is_jacobian_loss_hessian_jacobian(name):
    """Oracle: J by ``torch.func.jacrev``, the loss' Hessian in the outputs in closed form, then JᵀHJ."""
    case = CASES[name]
    problem, (_, theta), data = case.problem(batch_size=5), case.risk(), case.data()
    model = case.model().eval()
    names = [n for n, p in model.named_parameters() if p.requires_grad]
    shapes = [dict(model.named_parameters())[n].shape for n in names]
    inputs = {k: v for k, v in data.items() if k != "labels"} if isinstance(data, dict) else data[:-1]

    def outputs(flat):
        parts = torch.split(flat, [s.numel() for s in shapes])
        state = {n: p.view(s) for n, p, s in zip(names, parts, shapes, strict=True)}
        if isinstance(inputs, dict):
            return functional_call(model, state, (), inputs)
        return functional_call(model, state, inputs)

    with sdpa_kernel(SDPBackend.MATH):
        J, z = jacrev(lambda flat: 2 * (outputs(flat),), has_aux=True)(theta)
    G = np.zeros((len(theta), len(theta)))
    for Ji, zi in zip(J.numpy(), z, strict=True):
        p = zi.softmax(0).numpy()
        inner = np.array([[2.0]]) if name == "regression" else np.diag(p) - np.outer(p, p)
        G += Ji.T @ inner @ Ji / len(z)
    found = landscape.ggn(problem).dense().numpy()
    np.testing.assert_allclose(found, G, rtol=1e-9, atol=1e-12 * np.abs(G).max())
    assert np.linalg.eigvalsh(found).min() > -1e-12 * np.abs(G).max()


@every_case
def test_products_are_differences_of_gradients(name):
    """Oracle: central differences of ``gradient``."""
    problem = CASES[name].problem(weight_decay=0.2)
    v = torch.randn(problem.size, generator=generator(1), dtype=torch.float64)
    h = 1e-5
    slope = (problem.gradient(problem.theta + h * v) - problem.gradient(problem.theta - h * v)) / (2 * h)
    torch.testing.assert_close(landscape.hessian(problem) @ v, slope, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("make", [landscape.hessian, landscape.ggn])
@every_case
def test_a_block_is_its_columns_and_batches_do_not_matter(make, name):
    """Oracle: products with single vectors on the whole data at once."""
    case = CASES[name]
    whole = make(case.problem())
    parts = make(Problem(case.model(), case.loss, uneven(case.data(), [6, 1, 2, 4])))
    V = torch.randn(whole.size, 3, generator=generator(2), dtype=torch.float64)
    columns = torch.stack([whole @ v for v in V.unbind(1)], 1)
    torch.testing.assert_close(whole @ V, columns, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(parts @ V, columns, rtol=1e-10, atol=1e-13)
    torch.testing.assert_close(whole @ V.T.contiguous().T, columns, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("make", [landscape.hessian, landscape.ggn])
@pytest.mark.parametrize(("loss", "factor"), [("half_squared_error", 1.0), ("mse", 2.0)])
def test_linear_regression(make, loss, factor):
    """Oracle: XᵀX/N (2XᵀX/N for ``mse``), in NumPy; λ on the diagonal."""
    x, y = regression(17)
    model = nn.Linear(4, 1, bias=False).double()
    problem = Problem(model, loss, (x, y), batch_size=5, weight_decay=0.25)
    expected = factor * x.numpy().T @ x.numpy() / 17 + 0.25 * np.eye(4)
    np.testing.assert_allclose(make(problem).dense().numpy(), expected, rtol=1e-13)


@pytest.mark.parametrize(("loss", "factor"), [("half_squared_error", 1.0), ("mse", 2.0 / 3.0)])
def test_regression_with_several_outputs(loss, factor):
    """Oracle: I ⊗ XᵀX/N; ``mse`` also averages over the three outputs."""
    x, _ = regression(17)
    model = nn.Linear(4, 3, bias=False).double()
    problem = Problem(model, loss, (x, torch.zeros(17, 3).double()))
    expected = factor * np.kron(np.eye(3), x.numpy().T @ x.numpy() / 17)
    np.testing.assert_allclose(landscape.hessian(problem).dense().numpy(), expected, rtol=1e-13, atol=1e-16)


@pytest.mark.parametrize("make", [landscape.hessian, landscape.ggn])
def test_softmax_regression(make):
    """Oracle: (1/N) Σ (diag p − ppᵀ) ⊗ xxᵀ, in NumPy; Gauss-Newton equals it, the model being linear."""
    x, y = vectors(17)
    model = nn.Linear(4, 3, bias=False).double()
    problem = Problem(model, "cross_entropy", (x, y), batch_size=5)
    z = x.numpy() @ model.weight.detach().numpy().T
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    expected = sum(
        np.kron(np.diag(pi) - np.outer(pi, pi), np.outer(xi, xi)) for pi, xi in zip(p, x.numpy(), strict=True)
    )
    np.testing.assert_allclose(make(problem).dense().numpy(), expected / 17, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("make", [landscape.hessian, landscape.ggn])
@every_case
def test_weight_decay_shifts_every_eigenvalue(make, name):
    """Oracle: the operator without it, plus λI."""
    plain, decayed = CASES[name].problem(), CASES[name].problem(weight_decay=0.37)
    V = torch.randn(plain.size, 2, generator=generator(4), dtype=torch.float64)
    torch.testing.assert_close(make(decayed) @ V, make(plain) @ V + 0.37 * V, rtol=0, atol=1e-14)


def test_train_mode_batchnorm():
    """Oracle: central differences of the gradient, through the batch statistics."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ConvNet().double()
    problem = Problem(model, "cross_entropy", images(), batchnorm="train", batch_size=7)
    v = torch.randn(problem.size, generator=generator(1), dtype=torch.float64)
    h = 1e-6
    slope = (problem.gradient(problem.theta + h * v) - problem.gradient(problem.theta - h * v)) / (2 * h)
    torch.testing.assert_close(landscape.hessian(problem) @ v, slope, rtol=1e-5, atol=1e-6)


def test_hessian_of_chosen_parameters_is_the_block_of_the_whole():
    """Oracle: the block cut out of the exact Hessian."""
    exact = CASES["mlp"].exact_hessian()
    block = landscape.hessian(CASES["mlp"].problem(parameters="2.*")).dense()
    torch.testing.assert_close(block, exact[25:, 25:], rtol=1e-10, atol=1e-14)


def test_weight_norm_has_the_right_curvature():
    """Oracle: v g/‖v‖ written out; torch's kernel for it fails its own ``gradgradcheck``."""
    layer = nn.Linear(4, 3, bias=False).double()
    problem = Problem(nn.utils.parametrizations.weight_norm(layer), "cross_entropy", vectors())
    x, y = vectors()

    def risk(theta):
        g, v = theta[:3, None], theta[3:].view(3, 4)
        return F.cross_entropy(x @ (v * g / v.norm(dim=1, keepdim=True)).T, y)

    exact = torch.autograd.functional.hessian(risk, problem.theta)
    torch.testing.assert_close(landscape.hessian(problem).dense(), exact, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize(
    "loss", [F.l1_loss, F.hinge_embedding_loss, lambda o, t: (o - t).abs().flatten(1).sum(1)]
)
def test_losses_without_curvature_have_zero_gauss_newton(loss):
    """Oracle: piecewise linear losses have zero second derivative in the outputs."""
    x, y = regression()
    target = torch.where(y > 0, 1.0, -1.0) if loss is F.hinge_embedding_loss else y
    problem = Problem(nn.Linear(4, 1).double(), loss, (x, target), weight_decay=0.5)
    v = torch.ones(problem.size, dtype=torch.float64)
    assert torch.equal(landscape.ggn(problem) @ v, 0.5 * v)
    assert torch.equal(landscape.hessian(problem) @ v, 0.5 * v)


def test_a_loss_linear_in_the_parameters_has_zero_hessian():
    """Oracle: mathematics: neither gradient nor curvature depends on θ."""
    model = nn.Linear(4, 3).double()
    problem = Problem(model, lambda o, t: o.sum(1), vectors())
    v = torch.ones(problem.size, 2, dtype=torch.float64)
    assert not (landscape.hessian(problem) @ v).any()
    assert not (landscape.ggn(problem) @ v).any()


def test_gauss_newton_needs_one_output_tensor():
    """Oracle: the sentence says what to return."""
    problem = Problem(
        mlp().double(), lambda o, t: o["z"].sum(1), vectors(), forward=lambda m, b: {"z": m(b[0])}
    )
    with pytest.raises(InputError, match="returns one tensor; got dict"):
        landscape.ggn(problem) @ torch.ones(problem.size)


def test_float32_products_agree_with_float64():
    """Oracle: the same problem in float64; tolerance a few hundred eps of float32."""
    x, y = vectors()
    model = mlp()
    exact = landscape.hessian(Problem(model, "cross_entropy", (x, y), dtype=torch.float64))
    single = landscape.hessian(Problem(model, "cross_entropy", (x.float(), y)))
    v = torch.randn(exact.size, generator=generator(1))
    assert (single @ v).dtype == torch.float32
    torch.testing.assert_close((single @ v).double(), exact @ v, rtol=0, atol=300 * 2**-23)
