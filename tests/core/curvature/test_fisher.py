"""Fisher matrices against the Gauss-Newton matrix, expectations over targets and loops over examples."""

from __future__ import annotations

import pytest
import torch
from cases import CASES, ConvNet, generator, images, mlp, uneven, vectors
from torch import nn

import landscape
from landscape import Problem
from landscape.core.problem.losses import LOSSES, VARIANCE_FLOOR
from landscape.errors import InputError

every_case = pytest.mark.parametrize("name", CASES)


def dense_outputs(n=6):
    """Logits (n, 3, 2, 2) of a small convolution, with some ignored positions."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Conv2d(1, 3, 3, padding=1).double()
    x = torch.randn(n, 1, 2, 2, generator=generator(6), dtype=torch.float64)
    y = torch.arange(n * 4).view(n, 2, 2) % 3
    y[0, 0, 0] = y[1, 1] = -100
    return model, x, y


FISHERS = {
    "cross_entropy": lambda: CASES["mlp"].problem(batch_size=5, weight_decay=0.1),
    "images": lambda: CASES["conv_batchnorm"].problem(batch_size=5),
    "mse": lambda: Problem(nn.Linear(4, 3).double(), "mse", (vectors()[0], torch.zeros(13, 3).double())),
    "half_squared_error": lambda: CASES["regression"].problem(),
    "dense": lambda: Problem(dense_outputs()[0], "cross_entropy", dense_outputs()[1:]),
    "soft": lambda: Problem(
        mlp().double(),
        "cross_entropy",
        (vectors()[0], torch.rand(13, 3, generator=generator(7), dtype=torch.float64)),
    ),
}


@pytest.mark.parametrize("name", FISHERS)
def test_true_fisher_is_gauss_newton(name):
    """Oracle: the Gauss-Newton matrix, whose Hᵢ autograd takes from the loss; here p is written out."""
    problem = FISHERS[name]()
    torch.testing.assert_close(
        landscape.fisher(problem).dense(), landscape.ggn(problem).dense(), rtol=1e-11, atol=1e-14
    )


def test_true_fisher_is_the_expectation_over_classes():
    """Oracle: Σ p(c) ∇ℓ(c) ∇ℓ(c)ᵀ with a gradient for every example and class."""
    x, _ = vectors()
    model = CASES["mlp"].model()
    problem = CASES["mlp"].problem()
    expected = torch.zeros(problem.size, problem.size, dtype=torch.float64)
    for xi in x:
        logp = model(xi).log_softmax(0)
        for c in range(3):
            g = torch.cat(
                [t.reshape(-1) for t in torch.autograd.grad(logp[c], model.parameters(), retain_graph=True)]
            )
            expected += logp[c].exp().detach() * torch.outer(g, g) / len(x)
    torch.testing.assert_close(landscape.fisher(problem).dense(), expected, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("name", FISHERS)
def test_monte_carlo_fisher_tends_to_the_true_one(name):
    """Oracle: the true Fisher matrix; the relative error of S samples falls as 1/√S."""
    problem = FISHERS[name]()
    V = torch.randn(problem.size, 3, generator=generator(8), dtype=torch.float64)
    exact = landscape.fisher(problem) @ V
    errors = [
        float((landscape.fisher(problem, type="mc", samples=s, seed=1) @ V - exact).norm() / exact.norm())
        for s in (30, 30 * 400)
    ]
    assert errors[1] < 0.05
    assert errors[1] < 0.25 * errors[0]


def test_monte_carlo_fisher_is_a_fixed_matrix_of_its_seed():
    """Oracle: symmetric, positive semi-definite, of rank at most N·S; same bits for the same seed."""
    problem = CASES["mlp"].problem(batch_size=5)
    one, again, other = (landscape.fisher(problem, type="mc", seed=s).dense() for s in (3, 3, 4))
    assert torch.equal(one, again)
    assert not torch.allclose(one, other)
    torch.testing.assert_close(one, one.T, rtol=0, atol=1e-15)
    eigenvalues = torch.linalg.eigvalsh(one)
    assert eigenvalues.min() > -1e-14
    assert int((eigenvalues > 1e-12).sum()) <= 13


@every_case
def test_empirical_fisher_is_the_second_moment_of_gradients(name):
    """Oracle: one gradient per example, in a loop over problems of one example."""
    case = CASES[name]
    problem = case.problem(batch_size=5, weight_decay=0.3)
    if name == "scalar_loss":
        with pytest.raises(InputError, match="one loss per example"):
            landscape.empirical_fisher(problem) @ problem.theta
        return
    gradients = [Problem(case.model(), case.loss, [one]).gradient() for one in uneven(case.data(), [1] * 13)]
    expected = sum(torch.outer(g, g) for g in gradients) / 13 + 0.3 * torch.eye(
        problem.size, dtype=torch.float64
    )
    found = landscape.empirical_fisher(problem).dense()
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-14)


def test_empirical_fisher_through_batch_statistics():
    """Oracle: rows of the Jacobian of the per-example losses, by torch.autograd."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ConvNet().double()
    problem = Problem(model, "cross_entropy", images(), batchnorm="train")
    losses = problem.batch_losses(problem.batches[0])
    J = torch.stack(
        [problem.flatten_grads(torch.autograd.grad(t, problem.parameters, retain_graph=True)) for t in losses]
    )
    torch.testing.assert_close(
        landscape.empirical_fisher(problem).dense(), J.T @ J / 13, rtol=1e-9, atol=1e-13
    )


def test_fisher_refuses_what_it_cannot_mean():
    """Oracle: the sentences."""
    problem = CASES["scalar_loss"].problem()
    with pytest.raises(InputError, match="has no known likelihood"):
        landscape.fisher(problem)
    problem = CASES["mlp"].problem()
    with pytest.raises(InputError, match="no Fisher matrix of type 'exact'"):
        landscape.fisher(problem, type="exact")
    with pytest.raises(InputError, match="at least 1; got 0"):
        landscape.fisher(problem, type="mc", samples=0)


def heteroscedastic(loss="gaussian_nll"):
    """A small network of two means and variances on targets that it does not fit."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 4)).double()
    x = torch.randn(17, 4, generator=generator(1), dtype=torch.float64)
    y = 3 * torch.randn(17, 2, generator=generator(2), dtype=torch.float64)
    return Problem(model, loss, (x, y), batch_size=5)


def test_gaussian_nll_has_a_fisher_matrix_where_its_gauss_newton_matrix_is_indefinite():
    """Oracle: Jᵀ diag(1/v, v′²/(2v²)) J with a Jacobian from autograd and the diagonal written out in NumPy.

    The Gauss-Newton matrix of the same loss as a callable, which landscape knows no likelihood of, has a
    negative eigenvalue; by name it is the Fisher matrix.
    """
    problem = heteroscedastic()
    model, want = problem.module, torch.zeros(problem.size, problem.size, dtype=torch.float64)
    for batch in problem.batches:
        for x in batch.inputs:
            output = model(x[None])[0]
            rows = [
                problem.flatten_grads(torch.autograd.grad(o, problem.parameters, retain_graph=True))
                for o in output
            ]
            J, raw = torch.stack(rows), output[2:].detach()
            v = raw.exp().log1p() + VARIANCE_FLOOR
            slope = 1 / (1 + (-raw).exp())
            want += J.T @ torch.diag(torch.cat([1 / v, slope**2 / (2 * v**2)])) @ J / 17
    torch.testing.assert_close(landscape.fisher(problem).dense(), want, rtol=1e-11, atol=1e-13)
    torch.testing.assert_close(landscape.ggn(problem).dense(), want, rtol=1e-11, atol=1e-13)
    assert torch.linalg.eigvalsh(want).min() > -1e-12
    naive = landscape.ggn(heteroscedastic(lambda o, t: LOSSES["gaussian_nll"](o, t)))
    assert torch.linalg.eigvalsh(naive.dense()).min() < -1e-3


def test_the_fisher_of_gaussian_nll_by_monte_carlo_is_the_true_one_on_average():
    """Oracle: the exact matrix, within 5 standard errors over independent seeds; a seed repeats."""
    problem = heteroscedastic()
    true = landscape.fisher(problem).dense()
    drawn = torch.stack([landscape.fisher(problem, type="mc", samples=20, seed=s).dense() for s in range(60)])
    again = landscape.fisher(problem, type="mc", samples=20, seed=7).dense()
    assert torch.equal(drawn[7], again)
    error = drawn.std(0) / 60**0.5
    assert ((drawn.mean(0) - true).abs() <= 5 * error + 1e-9).all()
