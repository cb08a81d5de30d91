"""``line`` along many directions, eigenvectors and between models."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from cases import CASES, ConvNet, images, mlp, snapshot, vectors

import landscape
from landscape import Problem
from landscape.base.analysis import Context
from landscape.core.problem.states import as_vector, direction_seed
from landscape.core.surfaces.directions import random_direction
from landscape.errors import InputError


def state_of(seed, make=mlp):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make().double().state_dict()


def test_many_directions_are_the_single_ones_and_their_mean():
    """Oracle: single lines along the documented seeds; NumPy's mean and standard deviation."""
    problem = CASES["conv_batchnorm"].problem(weight_decay=0.1, batch_size=5)
    ds = landscape.line(problem, count=4, steps=5, seed=3)
    singles = []
    for i in range(4):
        d = random_direction(problem, seed=direction_seed(3, i))
        singles.append(landscape.line(problem, vector=d, steps=5))
    losses = np.array([s["loss"].values for s in singles])
    np.testing.assert_array_equal(ds["loss_by_direction"], losses)
    np.testing.assert_allclose(ds["loss"], losses.mean(0), rtol=1e-14)
    np.testing.assert_allclose(ds["loss_spread"], losses.std(0, ddof=1), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(ds["loss"], ds["data_loss"] + ds["penalty"], rtol=1e-14)
    accuracies = np.array([s["accuracy"].values for s in singles])
    np.testing.assert_array_equal(ds["accuracy_by_direction"], accuracies)
    np.testing.assert_allclose(ds["accuracy_spread"], accuracies.std(0, ddof=1), atol=1e-15)
    norms = np.array([float(s["direction_norm"]) for s in singles])
    np.testing.assert_allclose(ds["direction_norms"], norms)
    assert float(ds["direction_norm"]) == pytest.approx(np.sqrt((norms**2).mean()))
    assert float(ds.sel(alpha=0.0)["loss"]) == pytest.approx(problem.loss(), rel=1e-15)
    assert float(ds.sel(alpha=0.0)["loss_spread"]) == 0.0


def test_errors_of_the_mean_are_over_examples_of_the_mean_of_each():
    """Oracle: NumPy on losses per example, averaged over directions first."""
    problem = CASES["mlp"].problem(batch_size=5)
    ds = landscape.line(problem, count=3, steps=3)
    directions = [random_direction(problem, seed=direction_seed(0, i)) for i in range(3)]
    for i, a in enumerate(ds["alpha"].values):
        measures = [problem.measure(problem.theta + float(a) * d) for d in directions]
        losses = np.mean([m.losses.numpy() for m in measures], axis=0)
        right = np.mean([m.correct.numpy() for m in measures], axis=0)
        change = losses - problem.measure().losses.numpy()
        assert float(ds["loss_se"][i]) == pytest.approx(losses.std(ddof=1) / 13**0.5, rel=1e-12)
        assert float(ds["loss_change_se"][i]) == pytest.approx(
            change.std(ddof=1) / 13**0.5, abs=1e-15, rel=1e-9
        )
        assert float(ds["accuracy_se"][i]) == pytest.approx(right.std(ddof=1) / 13**0.5, abs=1e-15)


def test_one_direction_has_no_spread():
    """Oracle: one number has no standard deviation; the single form keeps its bits."""
    problem = CASES["mlp"].problem()
    ds = landscape.line(problem, steps=3)
    np.testing.assert_array_equal(ds["loss_by_direction"][0], ds["loss"])
    assert np.isnan(ds["loss_spread"]).all()
    scalar = landscape.line(CASES["scalar_loss"].problem(), count=2, steps=3)
    assert np.isnan(scalar["loss_se"]).all()
    assert np.isfinite(scalar["loss_spread"]).all()
    decayed = CASES["mlp"].problem(weight_decay=0.1)
    overflow = landscape.line(decayed, count=2, steps=3, low=-1e200, high=1e200, normalization="none")
    assert np.isposinf(overflow["loss"].values[[0, 2]]).all(), "the squared norm overflows"
    assert np.isnan(overflow["loss_spread"].values[[0, 2]]).all()


def test_between_two_models_both_ends_are_exact():
    """Oracle: problems made of the models: loss at steps 0 and 1, bit for bit."""
    b = state_of(8)
    problem = CASES["mlp"].problem(batch_size=5)
    ds = landscape.line(problem, models=b, low=-0.5, high=1.5, steps=5)
    there = problem.measure(as_vector(problem, b)).loss
    assert float(ds.sel(alpha=0.0)["loss"]) == problem.loss()
    assert float(ds.sel(alpha=1.0)["loss"]) == there
    np.testing.assert_array_equal(ds["marker_loss"], [problem.loss(), there])
    np.testing.assert_allclose(ds["marker_alpha"], [0.0, 1.0], atol=1e-14)
    middle = problem.measure(0.5 * (problem.theta + as_vector(problem, b))).loss
    assert float(ds.sel(alpha=0.5)["loss"]) == pytest.approx(middle, rel=1e-12)
    two = landscape.line(problem, models=[state_of(9), b], low=0.0, steps=2)
    assert float(two["loss"][0]) == problem.measure(as_vector(problem, state_of(9))).loss
    assert float(two["loss"][1]) == there


def test_between_models_statistics_are_recalibrated():
    """Oracle: the mode recorded; with `checkpoint`, true losses come from each model's own statistics."""
    other = ConvNet().double()
    problem = CASES["conv_batchnorm"].problem(batch_size=5)
    before = snapshot(problem.module)
    assert (
        landscape.line(problem, models=other.state_dict(), steps=3)["batchnorm_mode"].item() == "recalibrate"
    )
    ds = landscape.line(problem, models=other.state_dict(), steps=3, batchnorm="checkpoint")
    assert float(ds["marker_loss"][1]) == Problem(other, "cross_entropy", images(), batch_size=5).loss()
    assert snapshot(problem.module) == before


def test_along_eigenvectors():
    """Oracle: second differences against the exact Hessian's eigenvalues."""
    problem = CASES["mlp"].problem()
    ds = landscape.line(problem, direction="eigenvectors", count=3, low=-0.01, high=0.01, steps=3)
    top = np.linalg.eigvalsh(CASES["mlp"].exact_hessian().numpy())[:-4:-1]
    np.testing.assert_allclose(ds["eigenvalues"], top, rtol=1e-5)
    bend = ds["loss_by_direction"].diff("alpha", 2).values[:, 0] / 0.01**2
    np.testing.assert_allclose(bend, top, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"direction": "gradient", "count": 2}, "gradient gives one direction; leave out count=2"),
        ({"vector": torch.ones(43), "models": {}}, "the input vector or models, not both"),
        ({"models": [{}, {}, {}]}, "one model beside the checkpoint, or two; got 3"),
        ({"models": {"0.weight": torch.zeros(5, 4)}}, "lacks parameter"),
        ({"count": 0}, "option 'count'"),
    ],
)
def test_useless_options_are_refused(options, words):
    """Oracle: the key words of the sentence."""
    with pytest.raises(InputError, match=words):
        landscape.line(CASES["mlp"].problem(), **options)


def test_directions_already_done_are_not_done_again(tmp_path):
    """Oracle: progress reports of a run that finds one direction of three missing; equal bits."""
    problem = CASES["mlp"].problem()
    params = landscape.line.validate({"count": 3, "steps": 5})
    first = landscape.line.run(problem, params, Context(partial=tmp_path / "p"))
    (tmp_path / "p" / "direction-00001.npz").unlink()
    seen = []
    again = landscape.line.run(problem, params, Context(seen.append, tmp_path / "p"))
    assert first.drop_attrs().identical(again.drop_attrs())
    assert len(seen) == 5 + 3
    assert seen[-1] == 1.0


def test_the_spread_has_a_figure_of_its_own():
    """Oracle: the dataset."""
    ds = landscape.line(CASES["mlp"].problem(), count=3, steps=5)
    figures = {f.name: f for f in landscape.line.plots({"a": ds})}
    (curve,) = figures["spread"].marks
    np.testing.assert_allclose(curve.high - curve.y, ds["loss_spread"], atol=1e-15)
    assert "Means over 3 directions" in figures["loss"].caption
    one = landscape.line(Problem(mlp().double(), "cross_entropy", vectors()), steps=3)
    assert "spread" not in {f.name for f in landscape.line.plots({"a": one})}
    assert math.isnan(float(one["loss_spread"][0]))
