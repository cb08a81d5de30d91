"""The tangent kernel against explicit Jacobians, and the Fisher matrix of another loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import landscape
from landscape.core.curvature.fisher import fisher
from landscape.core.curvature.tangent_kernel import (
    TangentGram,
    centred_targets,
    kernel_moments,
    label_gradient,
)
from landscape.core.linalg.eigenpairs import eigenpairs
from landscape.core.linalg.operators import DenseOperator
from landscape.core.linalg.quadrature import spectral_measure, whole_measure
from landscape.errors import InputError


def network(loss="cross_entropy", decay=0.0, hidden=4):
    g = torch.Generator().manual_seed(0)
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(3, hidden), nn.Tanh(), nn.Linear(hidden, 2)).double()
    x = torch.randn(9, 3, generator=g).double()
    y = torch.arange(9) % 2 if loss == "cross_entropy" else torch.randn(9, 2, generator=g).double()
    return landscape.Problem(model, loss, (x, y), batch_size=4, weight_decay=decay), x, y


def jacobian(problem, x):
    """The rows ∂f_c(x_n)/∂θ, outputs of one example together, by one backward pass each."""
    rows = []
    for one in x:
        for output in problem.module(one[None])[0]:
            grads = torch.autograd.grad(output, problem.parameters, retain_graph=True)
            rows.append(torch.cat([g.reshape(-1) for g in grads]))
    return torch.stack(rows)


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_the_gram_matrix_of_explicit_jacobians(decay):
    """Independent: rows of the Jacobian by single backward passes."""
    problem, x, _ = network(decay=decay)
    J = jacobian(problem, x)
    torch.testing.assert_close(TangentGram(problem).dense(), J.T @ J)


def test_the_fisher_matrix_of_half_squared_error():
    """Independent: that operator's own likelihood; N times as large (Jacot et al. 2018)."""
    problem, _, _ = network("half_squared_error")
    torch.testing.assert_close(TangentGram(problem).dense(), 9 * fisher(problem).dense())


def test_targets_and_their_gradient():
    """Independent: one-hot rows less the class shares; Jᵀy of explicit rows: examples first, then classes."""
    problem, x, y = network()
    targets = centred_targets(problem)
    hot = nn.functional.one_hot(y, 2).double()
    want = hot - hot.mean(0)
    torch.testing.assert_close(torch.cat(targets), want)
    J = jacobian(problem, x)
    torch.testing.assert_close(label_gradient(problem, targets), J.T @ want.reshape(-1))
    regression, _, z = network("mse")
    torch.testing.assert_close(torch.cat(centred_targets(regression)), z - z.mean(0))


def test_what_has_no_targets():
    """Independent: by inspection: one logit has as many targets as outputs, a picture of outputs none."""
    x = torch.randn(4, 3)
    one = landscape.Problem(nn.Linear(3, 1), nn.BCEWithLogitsLoss(), (x, torch.ones(4, 1)))
    assert centred_targets(one) is not None
    dense = landscape.Problem(
        nn.Sequential(nn.Linear(3, 6), nn.Unflatten(1, (2, 3))),
        "cross_entropy",
        (x, torch.zeros(4, 3, dtype=torch.long)),
    )
    assert centred_targets(dense) is None
    norm = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    with pytest.raises(InputError, match="batchnorm='checkpoint'"):
        TangentGram(landscape.Problem(norm, "mse", (x, torch.zeros(4, 2)), batchnorm="batch"))


def test_moments_of_a_known_spectrum():
    """Independent: sums over the eigenvalues, written out; without an error where all are known."""
    values = np.array([5.0, 2.0, 1.0, 0.5, 0.0, 0.0])
    found = kernel_moments(whole_measure(DenseOperator(torch.diag(torch.from_numpy(values)))), 6.0, 3.0)
    shares = values[:4] / 8.5
    assert found.trace == (pytest.approx(8.5), 0.0)
    assert found.frobenius == (pytest.approx(30.25**0.5), 0.0)
    assert found.effective_rank == (pytest.approx(np.exp(-(shares * np.log(shares)).sum())), 0.0)
    assert found.participation == (pytest.approx(8.5**2 / 30.25), 0.0)
    assert found.alignment == (pytest.approx(6 / (30.25**0.5 * 3)), 0.0)


def test_moments_of_a_large_matrix_lie_within_their_errors():
    """Independent: all eigenvalues of the same matrix."""
    g = torch.Generator().manual_seed(3)
    A = torch.randn(150, 40, generator=g).double() * torch.linspace(3, 0.1, 40).double()
    G = DenseOperator(A @ A.T)
    pairs = eigenpairs(G, 5, vectors=True)
    part = kernel_moments(spectral_measure(G, outliers=pairs, probes=6, steps=30), 1.0, 1.0)
    whole = kernel_moments(whole_measure(G), 1.0, 1.0)
    for name in ("trace", "frobenius", "effective_rank", "participation", "alignment"):
        value, half = getattr(part, name)
        assert abs(value - getattr(whole, name)[0]) <= 2 * half, name
        assert half < 0.2 * value


def test_few_probes_are_given_the_spread_of_a_quadratic_form():
    """Independent: the standard deviation of traces over many sets of probes, by chance seen or not."""
    values = np.zeros(60)
    values[:3] = 4.0, 2.0, 1.0
    Q = torch.linalg.qr(torch.randn(60, 60, generator=torch.Generator().manual_seed(0)).double())[0]
    G = DenseOperator((Q * torch.from_numpy(values)) @ Q.T)
    sets = [spectral_measure(G, outliers=0, probes=4, steps=6, seed=seed) for seed in range(150)]
    found = [kernel_moments(measure, 1.0, 1.0).trace for measure in sets]
    spread = np.std([value for value, _ in found])
    assert np.median([half for _, half in found]) > 1.6 * spread
    assert np.mean([abs(value - 7.0) <= half for value, half in found]) > 0.88
