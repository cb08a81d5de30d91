"""Evaluator: exact numbers at every point, and a model that nothing can spoil."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from cases import CASES, ConvNet, images, mlp, regression, snapshot, vectors
from torch import nn

from landscape import Problem
from landscape.core.data.batches import read_batches
from landscape.core.problem.evaluator import Evaluator, PointSet
from landscape.core.surfaces.plane import given_plane, model_plane, random_plane
from landscape.errors import InputError

every_case = pytest.mark.parametrize("name", CASES)
STEPS = ((0.0, 0.0), (0.3, -0.2), (-1.0, 0.5))


@every_case
def test_the_centre_is_the_problems_loss_bit_for_bit(name):
    """Oracle: ``problem.loss()``, before, between and after other points."""
    problem = CASES[name].problem(weight_decay=0.01, batch_size=5)
    loss = problem.loss()
    evaluator = Evaluator(problem, random_plane(problem))
    assert evaluator.center.loss == loss
    for steps in STEPS:
        evaluator.values(steps)
        assert evaluator.values((0.0, 0.0))["loss"] == loss
    assert problem.loss() == loss


@every_case
def test_points_are_the_problems_measure_there(name):
    """Oracle: ``problem.measure`` at a vector made by hand."""
    problem = CASES[name].problem(weight_decay=0.01, batch_size=5)
    plane = random_plane(problem)
    evaluator = Evaluator(problem, plane)
    center = problem.measure()
    for a, b in STEPS:
        values = evaluator.values((a, b))
        measure = problem.measure(
            problem.theta.add(plane.directions[0], alpha=a).add(plane.directions[1], alpha=b)
        )
        assert values["loss"] == measure.loss
        assert values["data_loss"] == measure.data_loss
        assert values["penalty"] == measure.penalty
        if measure.losses is not None:
            n = len(measure.losses)
            expected = (measure.losses - center.losses).numpy().std(ddof=1) / math.sqrt(n)
            assert values["loss_change_se"] == pytest.approx(expected, rel=1e-12)
        if measure.correct is not None:
            assert values["accuracy"] == measure.accuracy


@every_case
def test_gradient_norms(name):
    """Oracle: ``problem.gradient`` at the point."""
    problem = CASES[name].problem(weight_decay=0.01, batch_size=5)
    plane = random_plane(problem)
    evaluator = Evaluator(problem, plane, gradient_norm=True)
    point = plane.write((0.2, 0.1), torch.empty_like(problem.theta)).clone()
    expected = float(problem.gradient(point).norm())
    assert evaluator.values((0.2, 0.1))["gradient_norm"] == pytest.approx(expected, rel=1e-12)


def test_accuracy_by_class():
    """Oracle: NumPy on the logits; labels with a gap keep their names."""
    x, y = vectors(30)
    y = torch.where(y == 1, 4, y)
    model = nn.Linear(4, 5).double()
    problem = Problem(model, "cross_entropy", (x, y), batch_size=7)
    evaluator = Evaluator(problem, random_plane(problem), per_class=True)
    assert evaluator.classes.tolist() == [0, 2, 4]
    right = (model(x).argmax(1) == y).numpy()
    expected = [right[y.numpy() == c].mean() for c in (0, 2, 4)]
    np.testing.assert_allclose(evaluator.values((0.0, 0.0))["class_accuracy"], expected)
    flat = Problem(nn.Linear(4, 1).double(), "mse", regression())
    with pytest.raises(InputError, match="one class label per example"):
        Evaluator(flat, random_plane(flat), per_class=True)


def test_values_that_are_not_finite_are_kept():
    """Oracle: exp overflows, log of a negative number is NaN."""
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.ones_(model.weight)
    x = torch.ones(3, 1).double()
    one = [torch.ones(1, dtype=torch.float64)] * 2
    problem = Problem(model, lambda o, t: o.exp().flatten(), (x, x))
    values = Evaluator(problem, given_plane(problem, one)).values((1000.0, 0.0))
    assert values["loss"] == math.inf
    problem = Problem(model, lambda o, t: (10 - o).log().flatten(), (x, x))
    assert math.isnan(Evaluator(problem, given_plane(problem, one)).values((20.0, 0.0))["loss"])


def test_a_zero_loss_is_a_loss():
    """Oracle: a model that fits exactly; a sentinel or truth test would take 0 for 'not computed'."""
    model = nn.Linear(2, 1, bias=False).double()
    x = torch.eye(2).double()
    problem = Problem(model, "mse", (x, model(x).detach()))
    evaluator = Evaluator(problem, given_plane(problem, list(torch.eye(2).double())))
    assert evaluator.center.loss == 0.0
    assert evaluator.values((0.0, 0.0))["loss"] == 0.0
    assert evaluator.values((1.0, 0.0))["loss"] == 0.5


def test_running_variances_are_not_perturbed():
    """Oracle: along a raw direction that is huge, a BatchNorm net stays finite: buffers do not move."""
    problem = CASES["conv_batchnorm"].problem()
    before = snapshot(problem.module)
    evaluator = Evaluator(problem, random_plane(problem, "none"))
    for a in np.linspace(-50, 50, 11):
        assert math.isfinite(evaluator.values((float(a), 0.0))["loss"])
    assert snapshot(problem.module) == before


@pytest.mark.parametrize("mode", ["checkpoint", "recalibrate", "batch"])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_point_that_raises_leaves_no_trace(mode, error):
    """Oracle: snapshots of the caller's and of the private model; the loss afterwards."""
    model = CASES["conv_batchnorm"].model()
    fuse = {"left": math.inf}

    def loss(output, target):
        fuse["left"] -= 1
        if fuse["left"] <= 0:
            raise error("stop")
        return nn.functional.cross_entropy(output, target, reduction="none")

    callers = snapshot(model)
    problem = Problem(model, loss, images(), batch_size=5)
    private, value = snapshot(problem.module), problem.loss()
    evaluator = Evaluator(problem, random_plane(problem), statistics=mode)
    fuse["left"] = 2
    with pytest.raises(error):
        evaluator.values((0.5, 0.5))
    fuse["left"] = math.inf
    assert snapshot(problem.module) == private
    assert snapshot(model) == callers
    assert problem.loss() == value


def test_modes_of_batchnorm():
    """Oracle: a problem with batch statistics for `batch`; a single batch for `recalibrate`."""
    problem = CASES["conv_batchnorm"].problem()
    plane = random_plane(problem)
    batch = Evaluator(problem, plane, statistics="batch").values((0.1, 0.2))["loss"]
    train = CASES["conv_batchnorm"].problem(batchnorm="batch")
    assert batch == Evaluator(train, random_plane(train)).values((0.1, 0.2))["loss"]
    pooled = Evaluator(problem, plane, statistics="recalibrate").values((0.1, 0.2))["loss"]
    assert pooled == pytest.approx(batch, rel=1e-12)
    assert Evaluator(problem, plane).values((0.1, 0.2))["loss"] != pytest.approx(pooled, rel=1e-6)


def test_a_marked_checkpoint_has_its_true_loss():
    """Oracle: a problem made of that checkpoint, with its own running statistics."""
    with torch.random.fork_rng():
        torch.manual_seed(11)
        other = ConvNet().double()
    problem = CASES["conv_batchnorm"].problem(weight_decay=0.1)
    plane = model_plane(problem, [problem.theta, other.state_dict()])
    evaluator = Evaluator(problem, plane)
    before = snapshot(problem.module)
    true = Problem(other, "cross_entropy", images(), weight_decay=0.1).loss()
    assert evaluator.values_of(plane.markers[1].state)["loss"] == true
    assert evaluator.values_of(plane.markers[0].state)["loss"] == problem.loss()
    assert evaluator.values((1.0,))["loss"] != pytest.approx(true, rel=1e-9), "other statistics, other loss"
    assert snapshot(problem.module) == before
    wrong = dict(other.state_dict())
    wrong["body.1.running_mean"] = torch.zeros(7)
    (marker,) = plane.marked(problem, [wrong])
    with pytest.raises(InputError, match=r"'body.1.running_mean' of a checkpoint has shape \(7,\)"):
        evaluator.values_of(marker.state)
    assert snapshot(problem.module) == before


def test_a_marked_checkpoint_brings_its_unchosen_parameters():
    """Oracle: a problem made of that checkpoint, where only one layer spans the plane."""
    with torch.random.fork_rng():
        torch.manual_seed(11)
        other = mlp().double()
    problem = CASES["mlp"].problem(parameters="2.*")
    evaluator = Evaluator(problem, random_plane(problem))
    (marker,) = evaluator.subset.marked(problem, [other.state_dict()])
    before = snapshot(problem.module)
    assert evaluator.values_of(marker.state)["loss"] == Problem(other, "cross_entropy", vectors()).loss()
    assert snapshot(problem.module) == before


def test_held_out_data_are_measured_beside_the_problems_own():
    """Oracle: ``problem.measure`` on those batches at the point; statistics are never of them."""
    problem = CASES["conv_batchnorm"].problem(batch_size=5)
    test = read_batches(images(7), batch_size=4, device=problem.device, dtype=None)
    plane = random_plane(problem)
    values = Evaluator(problem, plane, test=test).values((0.1, 0.2))
    point = plane.write((0.1, 0.2), torch.empty_like(problem.theta))
    expected = problem.measure(point, test)
    assert (values["test_loss"], values["test_accuracy"]) == (expected.loss, expected.accuracy)
    assert values["loss"] == problem.measure(point).loss
    pooled = Evaluator(problem, plane, statistics="recalibrate", test=test)
    alone = Evaluator(problem, plane, statistics="recalibrate")
    assert pooled.values((0.1, 0.2))["loss"] == alone.values((0.1, 0.2))["loss"]


def test_points_given_one_by_one():
    """Oracle: ``problem.measure`` at each; a set without a centre has no change of the loss."""
    problem = CASES["mlp"].problem()
    points = torch.stack([problem.theta, 2 * problem.theta])
    evaluator = Evaluator(problem, PointSet(points), per_example=True)
    for index, point in enumerate(points):
        expected, values = problem.measure(point), evaluator.values(index)
        assert values["loss"] == expected.loss
        assert np.array_equal(values["losses"], expected.losses)
        assert "loss_change_se" not in values
    with pytest.raises(InputError, match="PointSet has no centre"):
        _ = evaluator.center
    with pytest.raises(InputError, match="batchnorm='repair' needs two checkpoints"):
        Evaluator(problem, PointSet(points), statistics="repair")
