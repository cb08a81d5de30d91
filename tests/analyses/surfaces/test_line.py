"""``line`` against a quadratic in closed form, NumPy loops and the problem itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from cases import CASES, mlp, regression, snapshot, vectors
from scipy import stats
from torch import nn

import landscape
from landscape import Problem
from landscape.core.surfaces.directions import random_direction
from landscape.errors import InputError

every_case = pytest.mark.parametrize("name", CASES)


def linear_problem(weight_decay=0.0):
    x, y = regression(17)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Linear(4, 1, bias=False).double()
    return Problem(model, "half_squared_error", (x, y), weight_decay=weight_decay, batch_size=5)


def test_a_quadratic_is_an_exact_parabola():
    """Oracle: L(θ + αd) = L + α gᵀd + ½α² dᵀHd with H = XᵀX/N + λI, all in NumPy."""
    problem = linear_problem(weight_decay=0.3)
    x, y = (t.numpy() for t in regression(17))
    w = problem.theta.numpy()
    d = np.array([1.0, -2.0, 0.5, 3.0])
    H = x.T @ x / 17 + 0.3 * np.eye(4)
    residual = x @ w - y[:, 0]
    loss = (residual**2).mean() / 2 + 0.15 * w @ w
    slope = d @ (x.T @ residual / 17 + 0.3 * w)
    ds = landscape.line(problem, low=-2.0, high=3.0, steps=11, vector=torch.from_numpy(d))
    a = ds["alpha"].values
    np.testing.assert_allclose(a, -2 + 0.5 * np.arange(11), atol=1e-15)
    np.testing.assert_allclose(ds["loss"], loss + a * slope + a**2 * (d @ H @ d) / 2, rtol=1e-13)
    points = w + a[:, None] * d
    np.testing.assert_allclose(ds["penalty"], 0.15 * (points**2).sum(1), rtol=1e-13)
    np.testing.assert_allclose(ds["loss"], ds["data_loss"] + ds["penalty"], rtol=1e-15)
    assert float(ds["direction_norm"]) == pytest.approx(np.linalg.norm(d), rel=1e-15)
    assert float(ds["weight_norm"]) == pytest.approx(np.linalg.norm(w), rel=1e-15)


@every_case
@pytest.mark.parametrize(
    "grid", [{}, {"low": -0.3, "high": 0.6, "steps": 10}, {"low": -0.1, "high": 0.2, "steps": 4}]
)
def test_the_centre_is_the_problems_loss_bit_for_bit(name, grid):
    """Oracle: ``problem.loss()``; α = 0 must be met exactly where the grid holds it."""
    problem = CASES[name].problem(weight_decay=0.01, batch_size=5)
    ds = landscape.line(problem, **({"steps": 5} | grid))
    center = ds.sel(alpha=0.0)
    assert float(center["loss"]) == problem.loss() == float(ds["center_loss"])
    assert float(center["loss_change_se"]) == 0.0 or problem.measure().losses is None


@every_case
def test_every_point_is_computed_from_the_checkpoint_itself(name):
    """Oracle: ``measure`` at θ + αd, bit for bit: nothing is accumulated step by step."""
    problem = CASES[name].problem(batch_size=5)
    ds = landscape.line(problem, steps=5, seed=3)
    d = random_direction(problem, seed=3)
    for a, loss in zip(ds["alpha"].values, ds["loss"].values, strict=True):
        assert loss == problem.measure(problem.theta + float(a) * d).loss


def test_a_float32_line_agrees_with_plain_torch():
    """Oracle: plain torch in float64 at each point; tolerance from float32."""
    x, y = vectors()
    problem = Problem(mlp(), "cross_entropy", (x.float(), y))
    ds = landscape.line(problem, steps=5)
    d = random_direction(problem).double()
    for a, loss in zip(ds["alpha"].values, ds["loss"].values, strict=True):
        s = {n: t.double() for n, t in problem.space.unflatten(problem.theta.double() + a * d).items()}
        z = torch.tanh(x @ s["0.weight"].T + s["0.bias"]) @ s["2.weight"].T + s["2.bias"]
        assert loss == pytest.approx(F.cross_entropy(z, y).item(), rel=1e-5)


def test_the_grid_is_as_asked_even_if_lopsided():
    """Oracle: NumPy's linspace."""
    ds = landscape.line(linear_problem(), low=0.5, high=2.0, steps=4)
    np.testing.assert_array_equal(ds["alpha"], np.linspace(0.5, 2.0, 4))
    assert float(ds["center_loss"]) == linear_problem().loss()


# Errors


def test_standard_errors_are_those_of_numpy():
    """Oracle: s/√n of the losses per example, and of their differences to the checkpoint, in NumPy."""
    problem = CASES["mlp"].problem(batch_size=5)
    ds = landscape.line(problem, steps=5, seed=1)
    d = random_direction(problem, seed=1)
    base = problem.measure().losses.numpy()
    for i, a in enumerate(ds["alpha"].values):
        measure = problem.measure(problem.theta + float(a) * d)
        losses, right = measure.losses.numpy(), measure.correct.numpy()
        assert float(ds["loss_se"][i]) == pytest.approx(losses.std(ddof=1) / 13**0.5, rel=1e-12)
        assert float(ds["loss_change_se"][i]) == pytest.approx(
            (losses - base).std(ddof=1) / 13**0.5, rel=1e-12
        )
        assert float(ds["accuracy"][i]) == pytest.approx(right.mean(), rel=1e-15)
        assert float(ds["accuracy_se"][i]) == pytest.approx(right.std(ddof=1) / 13**0.5, rel=1e-12, abs=1e-15)
    assert int(ds["examples"]) == 13
    half = stats.t.ppf(0.975, 12) * base.std(ddof=1) / 13**0.5  # Student's
    assert landscape.line.summary(ds)[0].error == pytest.approx(half, rel=1e-6)
    lopsided = landscape.line(problem, steps=4, seed=1)  # without the checkpoint among its points
    assert math.isnan(landscape.line.summary(lopsided)[0].error)


def test_pairing_pays_near_the_checkpoint():
    """Oracle: common examples cancel: the paired error is far below the unpaired one, and 0 at α = 0."""
    ds = landscape.line(CASES["mlp"].problem(), low=-0.05, high=0.05, steps=5)
    assert float(ds["loss_change_se"].sel(alpha=0.0)) == 0.0
    assert (ds["loss_change_se"] < 0.2 * ds["loss_se"]).all()


def test_no_error_bars_without_losses_per_example():
    """Oracle: a scalar loss holds no spread; one example has none either."""
    ds = landscape.line(CASES["scalar_loss"].problem(), steps=3)
    assert np.isnan(ds["loss_se"]).all()
    assert np.isnan(ds["loss_change_se"]).all()
    assert np.isfinite(ds["loss"]).all()
    one = Problem(mlp().double(), "cross_entropy", vectors(1))
    assert np.isnan(landscape.line(one, steps=3)["loss_se"]).all()


def test_values_that_are_not_finite_are_kept():
    """Oracle: exp overflows float64 beyond 709; the finite part is untouched."""
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.ones_(model.weight)
    x = torch.ones(3, 1).double()
    problem = Problem(model, lambda o, t: o.exp().flatten(1).mean(1), (x, x))
    ds = landscape.line(problem, low=0.0, high=1000.0, steps=5, vector=torch.ones(1))
    assert np.isinf(ds["loss"].values[3:]).all()
    np.testing.assert_allclose(ds["loss"].values[:3], np.exp([1.0, 251.0, 501.0]), rtol=1e-12)
    summary = {m.name: m.value for m in landscape.line.summary(ds)}
    assert summary["worst rise"] == math.inf
    problem = Problem(model, lambda o, t: (10 - o).flatten(1).mean(1).log(), (x, x))
    ds = landscape.line(problem, low=0.0, high=20.0, steps=3, vector=torch.ones(1))
    assert np.isnan(ds["loss"].values[2])
    assert math.isnan({m.name: m.value for m in landscape.line.summary(ds)}["worst rise"])


# Directions


@pytest.mark.parametrize("normalization", ["filter", "layer", "parameter", "none"])
def test_the_direction_is_the_normalised_draw(normalization):
    """Oracle: the same line along the direction given as a vector."""
    problem = CASES["conv_batchnorm"].problem()
    drawn = landscape.line(problem, steps=5, normalization=normalization, ignore=["bias"], seed=2)
    d = random_direction(problem, normalization, seed=2, ignore=["bias"])
    given = landscape.line(problem, steps=5, vector=d)
    np.testing.assert_array_equal(drawn["loss"], given["loss"])
    assert float(drawn["direction_norm"]) == float(d.norm())


def test_along_the_gradient():
    """Oracle: the slope at the checkpoint is ‖g‖² by Taylor, from the loss on both sides."""
    problem = CASES["mlp"].problem()
    ds = landscape.line(
        problem, direction="gradient", normalization="none", ignore=[], low=-1e-4, high=1e-4, steps=3
    )
    slope = float(ds["loss"][2] - ds["loss"][0]) / 2e-4
    assert slope == pytest.approx(float(problem.gradient().square().sum()), rel=1e-6)


def test_a_direction_that_moves_nothing_is_refused():
    """Oracle: only biases were chosen and biases do not move, so the line would be a point."""
    with pytest.raises(InputError, match=r"direction is zero.*ignore"):
        landscape.line(CASES["mlp"].problem(parameters="*.bias"))


def test_a_given_vector_is_named_in_the_provenance():
    """Oracle: two lines along different vectors must not carry the same provenance."""
    problem = linear_problem()
    attrs = [landscape.line(problem, steps=3, vector=v * torch.ones(4)).attrs for v in (1.0, 2.0)]
    assert attrs[0]["inputs"] != attrs[1]["inputs"]
    assert "vector" in attrs[0]["inputs"]
    assert "inputs" not in landscape.line(problem, steps=3).attrs


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": 1}, "option 'steps' of analysis 'line' cannot be 1"),
        ({"low": 1.0, "high": -1.0}, r"low \(1.0\) must be below high \(-1.0\)"),
        ({"low": -math.inf}, "option 'low'.*finite"),
        ({"normalization": "filtr"}, "option 'normalization' .*'filtr'"),
        ({"ignore": ["batch"]}, "matches ignore 'batch'"),
        ({"vector": torch.zeros(3)}, r"vector has shape \(3,\), not \(43,\)"),
        ({"vector": torch.full((43,), math.nan)}, "vector holds NaN or infinite"),
        ({"step": 3}, "no option 'step'; did you mean 'steps'"),
    ],
)
def test_useless_options_are_refused(options, words):
    """Oracle: the key words of the sentence."""
    with pytest.raises(InputError, match=words):
        landscape.line(CASES["mlp"].problem(), **options)


@pytest.mark.parametrize("name", ["conv_batchnorm", "transformer_dict", "dropout"])
def test_nothing_moves(name):
    """Oracle: snapshots of the private model; buffers, parameters, modes."""
    problem = CASES[name].problem(batch_size=5)
    before = snapshot(problem.module)
    landscape.line(problem, steps=3)
    assert snapshot(problem.module) == before
    assert torch.equal(problem.theta, CASES[name].problem().theta)


def test_figures_show_intervals_of_95_percent():
    """Oracle: the dataset, and scipy's quantile of Student's t for so few examples."""
    ds = landscape.line(CASES["mlp"].problem(), steps=5)
    figures = {f.name: f for f in landscape.line.plots({"a": ds})}
    (curve,) = figures["loss"].marks
    factor = stats.t.ppf(0.975, int(ds["examples"]) - 1)
    np.testing.assert_allclose(curve.high - curve.y, factor * ds["loss_se"].values, rtol=1e-9)
    assert f"±{factor:.3g} standard errors over examples (Student's factor)" in str(figures["loss"].errors)
    (change,) = figures["change"].marks
    np.testing.assert_array_equal(change.y, ds["loss"] - float(ds["center_loss"]))
    assert set(figures) == {"loss", "change", "accuracy"}
    flat = landscape.line(CASES["regression"].problem(), steps=3)
    assert {f.name for f in landscape.line.plots({"a": flat})} == {"loss", "change"}
