"""``surface`` against quadratics in closed form, and every defect known of other packages."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from cases import CASES, ConvNet, generator, images, mlp, regression, snapshot, vectors
from scipy import stats
from torch import nn

import landscape
from landscape import Problem
from landscape.base.analysis import Context
from landscape.base.figure import Heatmap, Line, Points
from landscape.core.problem.states import as_vector, direction_seed
from landscape.core.surfaces.directions import random_direction
from landscape.errors import InputError

every_case = pytest.mark.parametrize("name", CASES)
GRID = ("loss", "data_loss", "penalty", "loss_se", "loss_change_se", "accuracy", "accuracy_se")


def linear_problem(weight_decay=0.3, dtype=torch.float64):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Linear(4, 1, bias=False).to(dtype)
    x, y = (t.to(dtype) for t in regression(17))
    return Problem(model, "half_squared_error", (x, y), weight_decay=weight_decay, batch_size=5)


def quadratic(problem, directions):
    """Loss over the plane in NumPy: L + a·g + ½ a·H a with H = XᵀX/N + λI."""
    x, y = (t.numpy() for t in regression(17))
    w, D, decay = problem.theta.numpy(), np.asarray(directions), problem.weight_decay
    residual = x @ w - y[:, 0]
    H = D @ (x.T @ x / 17 + decay * np.eye(4)) @ D.T
    g = D @ (x.T @ residual / 17 + decay * w)
    level = (residual**2).mean() / 2 + decay / 2 * w @ w

    def loss(X, Y):
        return level + g[0] * X + g[1] * Y + (H[0, 0] * X**2 + 2 * H[0, 1] * X * Y + H[1, 1] * Y**2) / 2

    return loss, H


DIRECTIONS = [torch.tensor([1.0, -2.0, 0.5, 3.0]), torch.tensor([0.2, 1.0, 1.0, -0.3])]
LOPSIDED = {"steps": (9, 6), "x_range": (-1.0, 3.0), "y_range": (-0.5, 2.0)}


# The numbers


def test_a_quadratic_on_a_lopsided_grid_of_unequal_sides():
    """Oracle: the closed form; transposed, shifted, snaked or scrambled grids would all show."""
    problem = linear_problem()
    loss, H = quadratic(problem, torch.stack(DIRECTIONS))
    ds = landscape.surface(problem, vectors=DIRECTIONS, hessian=True, radius=0.9, **LOPSIDED)
    assert dict(ds.sizes)["x"] == 9
    assert ds["loss"].dims == ("y", "x")
    np.testing.assert_allclose(ds["x"], -1 + 0.5 * np.arange(9), atol=1e-15)
    np.testing.assert_allclose(ds["y"], -0.5 + 0.5 * np.arange(6), atol=1e-15)
    X, Y = np.meshgrid(ds["x"], ds["y"])
    np.testing.assert_allclose(ds["loss"], loss(X, Y), rtol=1e-12)
    np.testing.assert_allclose(ds["loss"], ds["data_loss"] + ds["penalty"], rtol=1e-14)
    np.testing.assert_allclose(ds["curvature"], H, rtol=1e-9)
    np.testing.assert_allclose(ds["curvature_exact"], H, rtol=1e-12)
    assert float(ds["curvature_r2"]) == pytest.approx(1.0, abs=1e-12)
    assert float(ds["nonconvex_share"]) == 0.0
    assert float(ds["roughness"]) < 1e-12
    assert bool(ds["evaluated"].all())
    assert int(ds["evaluations"]) == 54
    assert int(ds["minima"]) == 1


@every_case
@pytest.mark.parametrize("grid", [{}, LOPSIDED, {"steps": (4, 2)}])
def test_the_centre_is_the_problems_loss_bit_for_bit(name, grid):
    """Oracle: ``problem.loss()``; the centre is measured even where the grid does not hold it."""
    problem = CASES[name].problem(weight_decay=0.01, batch_size=5)
    ds = landscape.surface(problem, **({"steps": (3, 5)} | grid))
    assert float(ds["center_loss"]) == problem.loss() == float(ds["problem_loss"])
    assert float(ds["center_error"]) == 0.0
    if 0.0 in ds["x"] and 0.0 in ds["y"]:
        center = ds.sel(x=0.0, y=0.0)
        assert float(center["loss"]) == problem.loss()
        assert float(center["loss_change_se"]) == 0.0 or problem.measure().losses is None


@pytest.mark.parametrize("directions", ["filter", "layer", "parameter", "raw"])
def test_stored_coordinates_are_the_steps_taken(directions):
    """Oracle: the problem measured at θ + x d₁ + y d₂ for the coordinates stored, bit for bit."""
    problem = CASES["conv_batchnorm"].problem(batch_size=5)
    ds = landscape.surface(problem, directions=directions, steps=(4, 3), x_range=(-0.3, 0.7), seed=2)
    kind = "none" if directions == "raw" else directions
    d = [random_direction(problem, kind, seed=direction_seed(2, i)) for i in range(2)]
    for x in ds["x"].values:
        for y in ds["y"].values:
            point = problem.theta.add(d[0], alpha=float(x)).add(d[1], alpha=float(y))
            assert float(ds["loss"].sel(x=x, y=y)) == problem.measure(point).loss
    np.testing.assert_allclose(ds["direction_norm"], [v.norm() for v in d], rtol=1e-14)
    assert float(ds["weight_norm"]) == pytest.approx(float(problem.theta.norm()))


def test_each_filter_moves_by_its_own_norm():
    """Oracle: a NumPy loop over output filters; scaling by tensor would give all filters one ratio."""
    model = nn.Linear(4, 3, bias=False).double()
    with torch.no_grad():
        model.weight *= torch.tensor([[0.1], [1.0], [10.0]])
    problem = Problem(model, "cross_entropy", vectors())
    ds = landscape.surface(problem, steps=(2, 2), keep_directions=True)
    for d in ds["vectors"].values:
        np.testing.assert_allclose(
            np.linalg.norm(d.reshape(3, 4), axis=1),
            np.linalg.norm(model.weight.detach().numpy(), axis=1),
            rtol=1e-12,
        )
        assert d.min() < 0 < d.max(), "Gaussian, not uniform on [0, 1)"


def test_the_row_through_the_centre_is_the_line():
    """Oracle: ``landscape.line`` with the same seed."""
    problem = CASES["attention"].problem(batch_size=5)
    row = landscape.surface(problem, steps=(5, 3), seed=4).sel(y=0.0)
    line = landscape.line(problem, steps=5, seed=4)
    for name in GRID:
        np.testing.assert_array_equal(row[name], line[name])


def test_pairing_pays_near_the_checkpoint():
    """Oracle: common examples cancel: the paired error is far below the unpaired one."""
    ds = landscape.surface(CASES["mlp"].problem(), steps=(3, 3), x_range=(-0.02, 0.02), y_range=(-0.02, 0.02))
    assert (ds["loss_change_se"] < 0.2 * ds["loss_se"]).all()
    assert int(ds["examples"]) == 13


def test_values_that_are_not_finite_are_kept():
    """Oracle: exp overflows float64 beyond 709; other points are untouched."""
    model = nn.Linear(2, 1, bias=False).double()
    nn.init.zeros_(model.weight)
    x = torch.eye(2).double()
    problem = Problem(model, lambda o, t: o.exp().flatten(), (x, x))
    grid = {"steps": (3, 2), "x_range": (0.0, 1000.0), "y_range": (0.0, 1.0), "radius": 2000.0}
    ds = landscape.surface(problem, vectors=list(torch.eye(2)), **grid)
    np.testing.assert_allclose(ds["loss"].values[:, 0], [1.0, (1 + math.e) / 2])
    assert np.isfinite(ds["loss"].values[:, 1]).all()
    assert np.isposinf(ds["loss"].values[:, 2]).all()
    assert bool(ds["evaluated"].all())
    assert float(ds["sharpness"]) == math.inf
    assert "2 points not finite" in landscape.surface.plots({"a": ds})[0].caption


def test_measures_on_request():
    """Oracle: the problem's gradient; accuracies by class average to the accuracy."""
    problem = CASES["conv_batchnorm"].problem(batch_size=5)
    ds = landscape.surface(problem, steps=(3, 2), per_class=True, gradient_norm=True)
    assert ds["class_accuracy"].dims == ("y", "x", "class")
    weights = np.bincount(images()[1])
    np.testing.assert_allclose((ds["class_accuracy"] * weights).sum("class") / 13, ds["accuracy"])
    d = [random_direction(problem, seed=direction_seed(0, i)) for i in range(2)]
    point = problem.theta - d[0] - d[1]
    assert float(ds["gradient_norm"][0, 0]) == pytest.approx(float(problem.gradient(point).norm()), rel=1e-10)


# Planes of other kinds


def test_curvature_along_eigenvectors_is_the_eigenvalue():
    """Oracle: the Hessian differentiated entry by entry."""
    problem = CASES["mlp"].problem()
    ds = landscape.surface(
        problem,
        directions="eigenvectors",
        steps=(5, 5),
        x_range=(-0.02, 0.02),
        y_range=(-0.02, 0.02),
        hessian=True,
    )
    top = np.linalg.eigvalsh(CASES["mlp"].exact_hessian().numpy())[:-3:-1]
    np.testing.assert_allclose(ds["eigenvalues"], top, rtol=1e-5)
    np.testing.assert_allclose(ds["curvature_exact"], np.diag(top), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(ds["curvature"], np.diag(top), rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(ds["direction_norm"], 1.0, rtol=1e-12)
    assert float(ds["direction_angle"]) == pytest.approx(90.0)


def states(count, seed=5, make=mlp):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return [make().double().state_dict() for _ in range(count)]


def test_three_models_lie_in_their_plane_with_their_own_loss():
    """Oracle: a problem made of each model; the grid holds them with room to spare."""
    models = states(3)
    problem = CASES["mlp"].problem()
    ds = landscape.surface(problem, models=models, steps=(3, 3))
    for i, state in enumerate(models):
        true = problem.measure(as_vector(problem, state)).loss
        assert float(ds["marker_loss"][i]) == true
        assert float(ds["marker_plane_loss"][i]) == pytest.approx(true, rel=1e-10)
        assert float(ds["marker_distance"][i]) < 1e-12
        assert ds["x"][0] < ds["marker_x"][i] < ds["x"][-1]
        assert ds["y"][0] < ds["marker_y"][i] < ds["y"][-1]
    assert float(ds["center_loss"]) == float(ds["marker_loss"][0])
    beside = landscape.surface(problem, models=models[:2], steps=(3, 3))
    assert float(beside["center_loss"]) == problem.loss() == float(beside["marker_loss"][0])
    with pytest.raises(InputError, match="two models beside the checkpoint, or three; got 1"):
        landscape.surface(problem, models=models[:1], steps=(3, 3))
    with pytest.raises(InputError, match="hessian=True needs a plane through the checkpoint"):
        landscape.surface(problem, models=models, steps=(3, 3), hessian=True)


def test_between_models_batchnorm_is_recalibrated_unless_told_otherwise():
    """Oracle: the mode recorded; one model near its own checkpoint stays with its statistics."""
    problem = CASES["conv_batchnorm"].problem(batch_size=5)
    models = states(2, make=ConvNet)
    ds = landscape.surface(problem, models=models, steps=(2, 2))
    assert ds["batchnorm_mode"].item() == "recalibrate"
    own = landscape.surface(problem, models=models, steps=(2, 2), batchnorm="checkpoint")
    assert own["batchnorm_mode"].item() == "checkpoint"
    for i, state in enumerate(models):
        other = ConvNet().double()
        other.load_state_dict(state)
        true = Problem(other, "cross_entropy", images(), batch_size=5).loss()
        assert float(own["marker_loss"][i + 1]) == true
    assert landscape.surface(problem, steps=(2, 2))["batchnorm_mode"].item() == "checkpoint"


def test_a_trajectory_carries_true_losses_and_distances():
    """Oracle: NumPy's SVD for places and distances, the problem for losses."""
    problem = CASES["mlp"].problem()
    walk = torch.randn(6, problem.size, generator=generator(1), dtype=torch.float64).cumsum(0) / 5
    points = [problem.theta + w - walk[-1] for w in walk]
    ds = landscape.surface(problem, trajectory=points, steps=(3, 4))
    M = torch.stack(points).numpy()
    _, s, vt = np.linalg.svd(M - M.mean(0), full_matrices=False)
    np.testing.assert_allclose(ds["explained"], s[:2] ** 2 / (s**2).sum(), rtol=1e-9)
    rest = M - problem.theta.numpy()
    steps = rest @ vt[:2].T
    np.testing.assert_allclose(np.abs(ds["marker_x"]), np.abs(steps[:, 0]), atol=1e-9)
    np.testing.assert_allclose(
        ds["marker_distance"], np.linalg.norm(rest - steps @ vt[:2], axis=1), atol=1e-8
    )
    true = [problem.measure(p).loss for p in points]
    np.testing.assert_array_equal(ds["marker_loss"], true)
    inside = [problem.measure(problem.theta + torch.from_numpy(s @ vt[:2])).loss for s in steps]
    np.testing.assert_allclose(ds["marker_plane_loss"], inside, rtol=1e-9)
    assert float(ds["marker_distance"][:-1].min()) > 0.01
    kinds = [type(m) for m in landscape.surface.plots({"a": ds})[0].marks]
    assert kinds == [Heatmap, Line, Points]
    figures = {f.name: f for f in landscape.surface.plots({"a": ds})}
    own, projected = figures["checkpoints"].marks
    np.testing.assert_array_equal(own.y, true)
    np.testing.assert_array_equal(projected.y, ds["marker_plane_loss"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"directions": "models"}, "directions='models' takes the input models; got none"),
        ({"directions": "given"}, "directions='given' takes the input vectors; got none"),
        ({"directions": "layer", "vectors": DIRECTIONS}, "directions='layer' takes no input; got vectors"),
        ({"models": [1], "vectors": [1]}, "got vectors, models"),
        ({"directions": "filtr"}, "option 'directions'.*'filtr'"),
        ({"steps": (1, 5)}, "steps must be at least 2"),
        ({"x_range": (1.0, -1.0)}, "x_range must rise"),
        ({"evaluations": 10}, "option 'evaluations'"),
        ({"ignore": [], "precision": "bfloat16"}, "need a float32 model"),
        ({"step": 3}, "no option 'step'; did you mean 'steps'"),
    ],
)
def test_useless_options_are_refused(options, words):
    """Oracle: the key words of the sentence."""
    with pytest.raises(InputError, match=words):
        landscape.surface(linear_problem(), **options)


# Nothing moves


@pytest.mark.parametrize(
    "options", [{}, {"batchnorm": "recalibrate"}, {"batchnorm": "batch"}, {"tune": True}]
)
def test_the_model_is_untouched(options):
    """Oracle: snapshots of the caller's and of the private model."""
    model = CASES["conv_batchnorm"].model()
    callers = snapshot(model)
    problem = Problem(model, "cross_entropy", images(), batch_size=5)
    private, loss = snapshot(problem.module), problem.loss()
    landscape.surface(problem, steps=(3, 3), **options)
    assert snapshot(problem.module) == private
    assert snapshot(model) == callers
    assert problem.loss() == loss


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_run_leaves_no_trace(error):
    """Oracle: snapshots, when the progress report of the fifth point raises."""
    problem = CASES["conv_batchnorm"].problem(batch_size=5)
    private, loss, seen = snapshot(problem.module), problem.loss(), []

    def progress(fraction):
        seen.append(fraction)
        if len(seen) == 5:
            raise error

    params = landscape.surface.validate({"steps": (3, 3)})
    with pytest.raises(error):
        landscape.surface.run(problem, params, Context(progress=progress))
    assert snapshot(problem.module) == private
    assert problem.loss() == loss


# Tuning and precision


def test_tuning_changes_nothing_but_rounding_and_is_recorded():
    """Oracle: the untuned surface, in float64."""
    problem = CASES["conv_batchnorm"].problem(batch_size=13)
    plain = landscape.surface(problem, steps=(3, 2))
    tuned = landscape.surface(problem, steps=(3, 2), tune=True)
    for name in GRID:
        np.testing.assert_allclose(tuned[name], plain[name], rtol=1e-11, atol=1e-14)
    assert int(tuned["micro_batch"]) in (0, 16)
    assert abs(float(tuned["center_error"])) < 1e-13
    pooled = landscape.surface(problem, steps=(2, 2), tune=True, batchnorm="recalibrate")
    assert int(pooled["micro_batch"]) == 0, "statistics of batches depend on the cut"
    assert int(plain["micro_batch"]) == 0
    assert not bool(plain["channels_last"])


def test_bfloat16_records_its_error():
    """Oracle: the loss in bfloat16 less that in float32, at the centre."""
    x, y = vectors(40)
    problem = Problem(mlp(), "cross_entropy", (x.float(), y))
    ds = landscape.surface(problem, steps=(3, 3), precision="bfloat16")
    assert float(ds["center_error"]) == float(ds["center_loss"]) - problem.loss() != 0.0
    full = landscape.surface(problem, steps=(3, 3))
    np.testing.assert_allclose(ds["loss"], full["loss"], rtol=2**-5)


# Long runs

SCRIPT = """
import os, signal, sys
from pathlib import Path
from landscape.base.analysis import Context
import landscape, torch
sys.path.insert(0, sys.argv[1])
from cases import CASES
def progress(fraction):
    if fraction > float(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)
params = landscape.surface.validate(eval(sys.argv[3]))
problem = CASES["conv_batchnorm"].problem(batch_size=5)
landscape.surface.run(problem, params, Context(progress, Path(sys.argv[2])))
"""


@pytest.mark.parametrize("options", [{"steps": (7, 6)}, {"steps": (15, 13), "evaluations": 90, "tune": True}])
def test_a_killed_run_resumes_to_the_same_bits(tmp_path, options):
    """Oracle: an uninterrupted run of the same options; the resumed one computes the rest only."""
    partial = tmp_path / "p"
    tests = str(Path(__file__).parents[3])
    command = [sys.executable, "-c", SCRIPT, tests, str(partial), repr(options), "0.55"]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    kept = {f.name: f.stat().st_mtime_ns for f in partial.glob("*.npz")}
    assert kept
    problem = CASES["conv_batchnorm"].problem(batch_size=5)
    params = landscape.surface.validate(options)
    seen = []
    resumed = landscape.surface.run(problem, params, Context(seen.append, partial))
    fresh = landscape.surface.run(problem, params, Context(partial=_same_cut(partial, tmp_path / "q")))
    xr.testing.assert_identical(resumed.drop_attrs(), fresh.drop_attrs())
    assert seen[-1] == 1.0
    assert {f.name: f.stat().st_mtime_ns for f in partial.glob("*.npz") if f.name in kept} == kept
    assert len(seen) < int(fresh["evaluations"])


def _same_cut(partial, other):
    """A folder for a fresh run that keeps the probed cut, which timing may decide otherwise."""
    other.mkdir()
    for name in ("identity.json", "cut.json"):
        if (partial / name).exists():
            (other / name).write_bytes((partial / name).read_bytes())
    return other


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda p, o: (CASES["conv_batchnorm"].problem(batch_size=6), o), "data"),
        (lambda p, o: (CASES["conv_batchnorm"].problem(batch_size=5, weight_decay=1.0), o), "weight_decay"),
        (lambda p, o: (CASES["conv_batchnorm"].problem(batch_size=5, batchnorm="train"), o), "batchnorm"),
        (lambda p, o: (p, o | {"seed": 1}), "options"),
        (lambda p, o: (p, o | {"steps": (3, 4)}), "options"),
    ],
)
def test_partial_results_of_another_run_are_refused(tmp_path, change, word):
    """Oracle: one sentence that names what differs and what to do."""
    problem, options = CASES["conv_batchnorm"].problem(batch_size=5), {"steps": (3, 3)}
    landscape.surface.run(problem, landscape.surface.validate(options), Context(partial=tmp_path / "p"))
    problem, options = change(problem, options)
    with pytest.raises(InputError, match=rf"made with another {word} .*remove that folder"):
        landscape.surface.run(problem, landscape.surface.validate(options), Context(partial=tmp_path / "p"))


def test_partial_results_along_other_directions_are_refused(tmp_path):
    """Oracle: the sentence. Options are equal, and a list of vectors has no hash: the plane is compared."""
    problem, params = CASES["mlp"].problem(), landscape.surface.validate({"steps": (3, 3)})
    first, second = torch.eye(problem.size, dtype=torch.float64)[:2]

    def run(*vectors):
        inputs = {"vectors": list(vectors)}
        landscape.surface.run(problem, params, Context(partial=tmp_path / "p", inputs=inputs))

    run(first, second)
    run(first, second)
    with pytest.raises(InputError, match=r"made with another directions .*remove that folder"):
        run(second, first)


def test_progress_rises_to_one():
    """Oracle: 25 points and 2 × 6 evaluations of checkpoints."""
    problem = CASES["mlp"].problem()
    points = [problem.theta + i * torch.sin(torch.arange(problem.size) * (i + 1)) for i in range(6)]
    seen = []
    params = landscape.surface.validate({"steps": (5, 5)})
    landscape.surface.run(problem, params, Context(seen.append, inputs={"trajectory": points}))
    assert seen[-1] == 1.0
    assert (np.diff(seen) >= 0).all()


# Adaptive refinement


@pytest.mark.parametrize("by", ["loss", "log_loss"])
def test_evaluated_points_are_kept_apart_from_interpolated_ones(by):
    """Oracle: the full grid, bit for bit where evaluated; near it elsewhere."""
    problem = CASES["mlp"].problem()
    options = {"steps": (21, 17), "seed": 3}
    full = landscape.surface(problem, **options)
    ds = landscape.surface(problem, evaluations=100, refine_by=by, **options)
    known = ds["evaluated"].values
    assert int(known.sum()) == 100 == int(ds["evaluations"])
    for name in GRID:
        np.testing.assert_array_equal(ds[name].values[known], full[name].values[known])
        assert np.isnan(ds[name].values[~known]).all()
    spread = float(np.ptp(full["loss"].values))
    np.testing.assert_allclose(ds["loss_filled"], full["loss"], atol=0.01 * spread)
    np.testing.assert_array_equal(ds["loss_filled"].values[known], full["loss"].values[known])
    assert math.isnan(float(ds["roughness"]))
    figure = landscape.surface.plots({"a": ds})[0]
    assert "100 of 21 × 17 points evaluated, the others interpolated" in figure.caption
    assert np.isfinite(figure.marks[0].z).all()


@pytest.mark.parametrize("shift", [0.0, -1.2])
def test_logarithms_of_losses_that_have_none_are_refused(shift):
    """Oracle: a loss that is zero on one side of the plane, or negative; by itself it is refined."""
    model = nn.Linear(2, 1, bias=False).double()
    nn.init.zeros_(model.weight)
    x = torch.eye(2).double()
    problem = Problem(model, lambda o, t: o.relu().flatten() + shift, (x, x))
    options = {"vectors": list(torch.eye(2)), "steps": (11, 11), "evaluations": 40}
    with pytest.raises(
        InputError, match=rf"positive everywhere.* it is {shift:g} somewhere: use refine_by = loss"
    ):
        landscape.surface(problem, refine_by="log_loss", **options)
    ds = landscape.surface(problem, **options)
    known = ds["evaluated"].values
    X, Y = np.meshgrid(ds["x"], ds["y"])
    np.testing.assert_allclose(ds["loss"].values[known], ((X.clip(0) + Y.clip(0)) / 2 + shift)[known])
    assert np.isfinite(ds["loss_filled"]).all()


def test_a_budget_beyond_the_grid_is_the_grid():
    """Oracle: the full grid."""
    problem = CASES["mlp"].problem()
    full = landscape.surface(problem, steps=(6, 5))
    ds = landscape.surface(problem, steps=(6, 5), evaluations=500)
    np.testing.assert_array_equal(ds["loss"], full["loss"])
    assert bool(ds["evaluated"].all())


# Pictures


def test_models_share_axes_and_colours():
    """Oracle: the datasets."""
    problem = CASES["mlp"].problem()
    a = landscape.surface(problem, steps=(5, 5))
    b = landscape.surface(problem, steps=(7, 5), seed=1, x_range=(-2.0, 1.0))
    figures = {f.name: f for f in landscape.surface.plots({"first": a, "second": b})}
    one, two = figures["loss-1"], figures["loss-2"]
    low = min(float(a["loss"].min()), float(b["loss"].min()))
    high = max(float(a["loss"].max()), float(b["loss"].max()))
    assert one.marks[0].color == two.marks[0].color
    assert one.marks[0].color.limits == (low, high)
    assert one.x == two.x
    assert one.x.limits == (-2.0, 1.0)
    np.testing.assert_array_equal(two.marks[0].z, b["loss"])
    assert "first" in one.title
    lines = figures["slice-x"].marks
    assert [m.series.model for m in lines] == ["first", "second"]
    np.testing.assert_array_equal(lines[0].y, a["loss"].sel(y=0.0))
    half = stats.t.ppf(0.975, problem.examples - 1) * a["loss_change_se"].sel(y=0.0)
    np.testing.assert_allclose(lines[0].high - lines[0].y, half, atol=1e-15)
    assert figures["accuracy-1"].marks[0].color.limits == (0.0, 1.0)
    single = [f.name for f in landscape.surface.plots({"a": a})]
    assert single == ["loss", "slice-x", "slice-y", "accuracy"]
    assert landscape.surface.plots(
        {"a": landscape.surface(linear_problem(), vectors=DIRECTIONS, steps=(3, 3))}
    )


def test_summary_numbers():
    """Oracle: the dataset."""
    ds = landscape.surface(CASES["mlp"].problem(), steps=(9, 9), radius=0.6, threshold=0.05)
    values = {m.name: m.value for m in landscape.surface.summary(ds)}
    assert values["loss"] == float(ds["center_loss"])
    near = np.hypot(*np.meshgrid(ds["x"], ds["y"])) <= 0.6
    assert values["sharpness"] == pytest.approx(float(ds["loss"].values[near].max()) - values["loss"])
    assert values["curvature"] == pytest.approx(np.linalg.eigvalsh(ds["curvature"])[-1])
    assert values["minima"] == int(ds["minima"]) == ds.sizes["minimum"]
    assert float(ds["minimum_loss"][0]) == float(ds["loss"].min())
    assert np.isposinf(ds["minimum_saddle"][0])


def test_barcode_and_mean_height_of_two_wells():
    """Oracle: (a² − 1)² has wells at ±1 and a saddle of height 1 at 0: one bar, less the tilt of 0.01."""

    class Wells(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.zeros(2, dtype=torch.float64))

        def forward(self, x):
            height = (self.w[0] ** 2 - 1) ** 2 + 0.01 * self.w[0] + self.w[1] ** 2
            return x + height

    problem = Problem(Wells(), lambda z, y: z[:, 0], (torch.zeros(2, 1).double(), torch.zeros(2, 1)))
    vectors = list(torch.eye(2, dtype=torch.float64))
    ds = landscape.surface(problem, vectors=vectors, steps=(41, 5), x_range=(-2, 2), y_range=(-1, 1))
    assert ds.sizes["minimum"] == 2
    assert float(ds["smad"]) == pytest.approx(1.0 - 0.01, abs=1e-9)
    names = [spec.name for spec in landscape.analyses()["surface"].plots({"": ds})]
    assert names[-1] == "minima"
