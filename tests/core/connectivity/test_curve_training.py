"""Training of bends against optima that scipy finds, closed forms, and uninterrupted runs."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from cases import CASES, images, snapshot
from scipy.integrate import quad
from scipy.optimize import minimize
from torch import nn

from landscape import Problem
from landscape.core.connectivity.curve import Curve, bent, straight
from landscape.core.connectivity.curve_training import (
    CurveTraining,
    TrainingState,
    epoch_batches,
    learning_rate,
    loss_and_gradient,
    train_bends,
)
from landscape.errors import InputError


class Point(nn.Module):
    """A model that is a point: its output is its parameters, once per example."""

    def __init__(self, size=2):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(size, dtype=torch.float64))

    def forward(self, x):
        return self.w.expand(len(x), -1)


def landscape_of(function, examples=32):
    """A problem whose loss at θ is ``function`` of θ (rows)."""
    x = torch.zeros(examples, 1, dtype=torch.float64)
    return Problem(Point(), lambda output, target: function(output), (x, torch.zeros(examples)))


def ring(w):
    """Zero on the unit circle."""
    return (w.square().sum(1) - 1).square()


A, B = torch.tensor([1.0, 0.0], dtype=torch.float64), torch.tensor([0.0, 1.0], dtype=torch.float64)
QUICK = CurveTraining(epochs=150, lr=0.05, batch_size=8)


def mean_loss(path):
    return quad(lambda t: float(ring(path.point(t)[None])), 0, 1)[0]


@pytest.mark.parametrize("bends", [1, 2])
def test_a_bezier_bends_along_a_ring(bends):
    """Oracle: scipy's minimum of ∫ L(θ(t)) dt over the same control points, by quadrature."""
    trained = train_bends(landscape_of(ring), bent(A, B, bends), QUICK)

    def objective(flat):
        inner = torch.as_tensor(flat).reshape(bends, 2)
        return mean_loss(Curve("bezier", torch.cat([A[None], inner, B[None]])))

    best = minimize(objective, bent(A, B, bends).points[1:-1].reshape(-1).numpy(), tol=1e-12)
    assert mean_loss(straight(A, B)) > 0.1
    assert mean_loss(trained) == pytest.approx(best.fun, abs=1e-4)
    if bends == 1:
        np.testing.assert_allclose(trained.points[1], best.x, atol=0.01)
    assert torch.equal(trained.point(0.0), A)
    assert torch.equal(trained.point(1.0), B)


def test_a_polychain_bends_along_a_ring():
    """Oracle: by symmetry the bend lies on the diagonal, where scipy finds the least mean loss."""
    trained = train_bends(landscape_of(ring), bent(A, B, 1, "polychain"), QUICK)
    best = minimize(
        lambda r: mean_loss(Curve("polychain", torch.stack([A, torch.full_like(A, float(r[0])), B]))), [0.5]
    )
    np.testing.assert_allclose(trained.points[1], [best.x[0]] * 2, atol=0.02)


def test_weight_decay_pulls_the_bend():
    """Oracle: ∫ ½‖θ(t)‖² dt alone is least where (a + b)/10 + 2p/15 = 0.

    Its gradient is Σᵢ pᵢ ∫ B₁Bᵢ dt, with ∫B₀B₁ = ∫B₁B₂ = 1/10 and ∫B₁² = 2/15.
    """
    ends = []
    for seed in range(12):
        settings = CurveTraining(epochs=60, lr=0.02, batch_size=8, weight_decay=2.0, seed=seed)
        ends.append(train_bends(landscape_of(lambda w: 0 * w.sum(1)), bent(A, B, 1), settings).points[1])
    mean, spread = torch.stack(ends).mean(0), torch.stack(ends).std(0)
    assert spread.max() < 0.15
    assert ((mean + 0.75).abs() < 3 * spread / 12**0.5).all()


def test_loss_and_gradient():
    """Oracle: the mean loss of one batch by autograd in plain torch on a copy of the model."""
    case = CASES["conv_batchnorm"]
    problem = case.problem(batch_size=5)
    theta = problem.theta + 0.1
    value, gradient = loss_and_gradient(problem, theta, problem.batches[0], 0.3)
    single = problem.on(problem.batches[:1])
    assert value == pytest.approx(single.measure(theta).loss + 0.15 * float(theta.square().sum()), rel=1e-12)
    torch.testing.assert_close(gradient, single.gradient(theta) + 0.3 * theta)


def test_schedule():
    """Oracle: Garipov et al. (2018): constant to 50 %, linear to 1 % at 90 %."""
    assert learning_rate(0.25, 0.1) == 0.1
    assert learning_rate(0.9, 0.1) == pytest.approx(0.001)
    assert learning_rate(0.6, 0.1) == pytest.approx(0.1 - 0.25 * 0.099)


def test_an_epoch_sees_every_example_once():
    """Oracle: the multiset of the inputs; another order in another epoch; even batches, none of one."""
    problem = Problem(CASES["mlp"].model(), "cross_entropy", CASES["mlp"].data(), batch_size=4)
    settings = CurveTraining(batch_size=6)
    orders = [[b.inputs for b in epoch_batches(problem, settings, e)] for e in (0, 1, 0)]
    everything = torch.cat([b.inputs for b in problem.batches])
    for order in orders:
        assert [len(x) for x in order] == [5, 4, 4]
        joined = torch.cat(order)
        assert torch.equal(joined[joined[:, 0].argsort()], everything[everything[:, 0].argsort()])
    assert torch.equal(torch.cat(orders[0]), torch.cat(orders[2]))
    assert not torch.equal(torch.cat(orders[0]), torch.cat(orders[1]))


def test_a_training_that_goes_on_gives_the_same_bits():
    """Oracle: the uninterrupted run. The interruption is an exception after an epoch's state is kept."""
    problem = CASES["conv_batchnorm"].problem(batch_size=5)
    g = torch.Generator().manual_seed(0)
    end = problem.theta + torch.randn(problem.size, generator=g, dtype=torch.float64)
    path, settings = bent(problem.theta, end, 2), CurveTraining(epochs=6, batch_size=4, seed=5)
    whole = train_bends(problem, path, settings)
    kept = []

    def stop(state):
        kept.append(copy.deepcopy(state))
        if len(kept) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_bends(problem, path, settings, on_epoch=stop)
    resumed = train_bends(problem, path, settings, state=kept[-1])
    assert torch.equal(resumed.points, whole.points)
    assert not torch.equal(train_bends(problem, path, CurveTraining(epochs=6, seed=6)).points, whole.points)


def test_the_model_is_untouched():
    """Oracle: everything of the private model, with BatchNorm in it, before and after; gradients too."""
    problem = CASES["conv_batchnorm"].problem(batch_size=5)
    before = snapshot(problem.module)
    train_bends(problem, bent(problem.theta, problem.theta + 1, 1), CurveTraining(epochs=2, batch_size=4))
    after = snapshot(problem.module)
    assert all(after[k] == before[k] for k in before)


def test_any_kind_of_model_and_batches():
    """Oracle: the mean loss of the trained path is lower than of the chord, for each kind."""
    for name in ("tied", "transformer_dict", "two_inputs", "scalar_loss", "regression"):
        problem = CASES[name].problem(batch_size=5)
        end = problem.theta.flip(0) * 2
        path = bent(problem.theta, end, 1)
        trained = train_bends(problem, path, CurveTraining(epochs=20, lr=0.05, batch_size=5))
        before, after = (
            np.mean([problem.measure(p.point(t)).loss for t in (0.3, 0.5, 0.7)]) for p in (path, trained)
        )
        assert after < before, name


def test_batches_that_cannot_be_mixed():
    """Oracle: the batches themselves, in an order of the epoch's own."""
    x, y = images()
    problem = Problem(
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 3)).double(),
        "cross_entropy",
        [(x, y), (x[:5, :, :2], y[:5])],
    )
    sizes = {tuple(b.size for b in epoch_batches(problem, CurveTraining(), e)) for e in range(8)}
    assert sizes == {(13, 5), (5, 13)}


def test_what_cannot_be_trained():
    """Oracle: the sentence."""
    problem = landscape_of(ring)
    with pytest.raises(InputError, match="path with bends"):
        train_bends(problem, straight(A, B), QUICK)
    with pytest.raises(InputError, match="diverged in epoch"):
        train_bends(problem, bent(A, 50 * B, 1), CurveTraining(epochs=50, lr=1e3))


def test_the_start_is_a_copy():
    """Oracle: the path that was given stays as it was."""
    path = bent(A, B, 1)
    kept = path.points.clone()
    train_bends(landscape_of(ring), path, CurveTraining(epochs=2), state=TrainingState.start(path))
    assert torch.equal(path.points, kept)
