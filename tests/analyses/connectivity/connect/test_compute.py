"""``connect`` against closed forms, hand-made permutations, numpy loops and uninterrupted runs."""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
import xarray as xr
from cases import ConvNet, images, snapshot, vectors
from torch import nn

import landscape
from landscape import Problem
from landscape.base.analysis import Context, Pair
from landscape.errors import InputError


def seeded(build, seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build().double()


def mlp():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))


def permuted(model):
    """The same function with the hidden units of both layers in another order."""
    g = torch.Generator().manual_seed(7)
    first, second = torch.randperm(8, generator=g), torch.randperm(6, generator=g)
    state = {k: v.clone() for k, v in model.state_dict().items()}
    for name in ("0.weight", "0.bias"):
        state[name] = state[name][first]
    state["2.weight"] = state["2.weight"][:, first]
    for name in ("2.weight", "2.bias"):
        state[name] = state[name][second]
    state["4.weight"] = state["4.weight"][:, second]
    return state


def conv_pair():
    a, b = (seeded(ConvNet, seed) for seed in (1, 2))
    return Problem(a, "cross_entropy", images(24), batch_size=10), a.state_dict(), b.state_dict()


@pytest.mark.parametrize("method", ["weights", "activations"])
def test_a_permuted_copy_has_no_barrier_once_aligned(method):
    """Oracle: the copy is the model itself with its units in another, hand-made order."""
    model = seeded(mlp, 0)
    problem = Problem(model, "cross_entropy", vectors(40))
    ds = landscape.connect(problem, model.state_dict(), permuted(model), align=method, steps=11)
    before, after = (ds.sel(path=p, split="train", quantity="loss") for p in ("line", "line, aligned"))
    assert float(before["barrier_max"]) > 0.01 or float(before["arc_mean"]) != float(after["arc_mean"])
    for name in ("barrier_chord", "barrier_mean", "barrier_max", "mode_connectivity"):
        assert float(after[name]) == pytest.approx(0.0, abs=1e-12)
    assert float(after["p_value"]) == 1.0
    assert float(ds["chord"][1]) == pytest.approx(0.0, abs=1e-12)
    assert float(ds["output_error"]) < 1e-12


@pytest.mark.parametrize("form", ["inputs", "batch", "with_target"])
def test_models_called_in_a_way_of_their_own_are_aligned_too(form):
    """Oracle: the same model called plainly."""
    model = seeded(mlp, 0)
    forward = {
        "inputs": lambda m, x: m(x),
        "batch": lambda m, batch: m(batch["features"]),
        "with_target": lambda m, batch: (m(batch["features"]), batch["answer"]),
    }[form]
    x, y = vectors(40)
    key = "answer" if form == "with_target" else "label"
    data = (x, y) if form == "inputs" else {"features": x, key: y}
    problem = Problem(model, "cross_entropy", data, forward=forward)
    options = {"align": "weights", "steps": 3, "refine": 0}
    found = landscape.connect(problem, model.state_dict(), permuted(model), **options)
    plain = landscape.connect(
        Problem(model, "cross_entropy", (x, y)), model.state_dict(), permuted(model), **options
    )
    np.testing.assert_array_equal(found["loss"], plain["loss"])


def test_barriers_are_those_of_the_stored_curves():
    """Oracle: the definitions in numpy, on the losses and errors that the result holds."""
    problem, a, b = conv_pair()
    ds = landscape.connect(problem, a, b, steps=9, test_data=images(11), refine=2)
    assert ds.sizes["point"] == 13
    assert list(ds["split"].values) == ["train", "test"]
    for split in ("train", "test"):
        for quantity in ("loss", "data_loss", "error"):
            part = ds.sel(path="line", split=split)
            t, E = part["t"].values, part[quantity].values
            assert (np.diff(t) > 0).all()
            mean = (E[0] + E[-1]) / 2
            within = E[0] <= max(E) <= E[-1] or E[-1] <= max(E) <= E[0]
            within &= min(E) == min(E[0], E[-1])
            expected = {
                "barrier_chord": max(E - (1 - t) * E[0] - t * E[-1]),
                "barrier_mean": max(E) - mean,
                "barrier_max": max(E) - max(E[0], E[-1]),
                "saddle": max(E),
                "arc_mean": np.sum(np.diff(t) * (E[1:] + E[:-1]) / 2),
                "mode_connectivity": 0.0 if within else mean - E[np.argmax(abs(E - mean))],
            }
            assert bool(part["within_ends"].sel(quantity=quantity)) == within
            found = part.sel(quantity=quantity)
            for name, value in expected.items():
                assert float(found[name]) == pytest.approx(value, abs=1e-10), (split, quantity, name)
                assert float(found[f"{name}_low"]) <= float(found[f"{name}_high"])
            assert 0 < float(found["p_value"]) <= 1


def test_ends_are_the_checkpoints():
    """Oracle: each model on its own; bit for bit under keep, and under any policy in ``end_loss``."""
    problem, a, b = conv_pair()
    other = ConvNet().double()
    other.load_state_dict(b)
    losses = [problem.loss(), Problem(other, "cross_entropy", images(24), batch_size=10).loss()]
    kept = landscape.connect(problem, a, b, batchnorm="keep", steps=3)
    assert kept["loss"].values[0, 0, [0, -1]].tolist() == losses
    for policy in ("interpolate", "recalibrate", "repair"):
        ds = landscape.connect(problem, a, b, batchnorm=policy, steps=3)
        assert ds["end_loss"].values[0].tolist() == losses
        assert ds["batchnorm_policy"].item() == policy


def test_refinement_finds_a_higher_top():
    """Oracle: a fine grid of 201 points: the refined maximum is as high, the coarse one lower."""
    problem, a, b = conv_pair()
    tops = [
        float(landscape.connect(problem, a, b, steps=steps, refine=refine)["barrier_chord"][0, 0, 0])
        for steps, refine in ((6, 0), (6, 4), (201, 0))
    ]
    assert tops[0] < tops[1]
    assert tops[1] == pytest.approx(tops[2], abs=(tops[2] - tops[0]) / 5)


@pytest.mark.parametrize("method", ["bezier", "polychain", "neb"])
def test_a_trained_curve_is_lower_than_the_line(method):
    """Oracle: the straight line between the same models, before and after training."""
    problem, a, b = conv_pair()
    ds = landscape.connect(
        problem, a, b, method=method, epochs=30, lr=0.05, batch_size=8, plane=5, keep_points=True
    )
    assert list(ds["path"].values) == ["line", method]
    line, curve = (ds.sel(path=p, split="train", quantity="loss") for p in ("line", method))
    assert float(curve["arc_mean"]) < float(line["arc_mean"])
    assert float(ds["arc_ratio"].sel(path=method)) > 1
    assert ds["training_loss"].values[-5:].mean() < ds["training_loss"].values[:5].mean()
    space = problem.space
    assert torch.equal(torch.from_numpy(ds["points"].values[-1]), space.flatten(b))
    assert np.isfinite(ds["plane_loss"]).all()
    assert np.hypot(ds["curve_x"], ds["curve_y"])[-1] == pytest.approx(float(ds["chord"][-1]))
    if method != "neb":
        assert float(ds["curve_distance"]) == pytest.approx(0.0, abs=1e-10)


def test_the_plane_holds_the_ends():
    """Oracle: the models' own losses: the plane's axes start at a, and b lies on the first."""
    model = seeded(mlp, 0)
    problem = Problem(model, "cross_entropy", vectors(40))
    other = seeded(mlp, 1).state_dict()
    ds = landscape.connect(problem, model.state_dict(), other, method="bezier", epochs=5, plane=7, lr=0.1)
    x, z = ds["plane_x"].values, ds["plane_loss"]
    assert x[0] < 0 < float(ds["chord"][-1]) < x[-1]
    near = z.interp(plane_x=[0.0, float(ds["chord"][-1])], plane_y=0.0, method="cubic")
    np.testing.assert_allclose(near, ds["end_loss"][0], rtol=0.25)


def test_losses_without_examples_have_no_intervals():
    """Oracle: a loss that is a batch mean has no values per example; the barrier itself stays."""
    model = seeded(mlp, 0)
    problem = Problem(model, lambda o, t: nn.functional.cross_entropy(o, t), vectors(40))
    ds = landscape.connect(problem, model.state_dict(), seeded(mlp, 1).state_dict(), steps=5)
    loss = ds.sel(path="line", split="train", quantity="loss")
    assert np.isfinite(float(loss["barrier_chord"]))
    assert np.isnan(float(loss["barrier_chord_low"]))
    assert np.isnan(float(loss["p_value"]))


def test_the_models_are_untouched():
    """Oracle: everything of both models before and after."""
    models = [seeded(ConvNet, seed) for seed in (1, 2)]
    before = [snapshot(m) for m in models]
    problem = Problem(models[0], "cross_entropy", images(24), batch_size=10)
    landscape.connect(
        problem, *(m.state_dict() for m in models), method="bezier", epochs=2, align="weights", plane=3
    )
    assert [snapshot(m) for m in models] == before


def test_held_out_data_by_their_builder(tmp_path, monkeypatch):
    """Oracle: the same data given themselves."""
    (tmp_path / "held.py").write_text(
        "import torch\ndef out(n):\n    g = torch.Generator().manual_seed(2)\n"
        "    return torch.randn(n, 1, 4, 4, generator=g, dtype=torch.float64), torch.arange(n) % 3\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    problem, a, b = conv_pair()
    named = landscape.connect(problem, a, b, steps=3, test="held:out", test_kwargs={"n": 11})
    given = landscape.connect(problem, a, b, steps=3, test_data=images(11))
    xr.testing.assert_identical(named.drop_attrs(), given.drop_attrs())
    with pytest.raises(InputError, match="given twice"):
        landscape.connect(problem, a, b, test="held:out", test_data=images(11))
    with pytest.raises(InputError, match="test = 'held:nothing'"):
        landscape.connect(problem, a, b, test="held:nothing")


def test_an_interrupted_run_goes_on_with_the_same_bits(tmp_path):
    """Oracle: the run that was never interrupted; interruptions fall into training and into profiles."""
    problem, a, b = conv_pair()
    params = landscape.connect.validate({"method": "bezier", "epochs": 8, "steps": 9, "plane": 3})
    whole = landscape.connect.run(Pair(problem, a, b), params)
    calls = 0

    def interrupt_at(limit):
        def progress(fraction):
            nonlocal calls
            calls += 1
            if calls == limit:
                raise KeyboardInterrupt

        return progress

    for limit in (3, 7, 9, 12):
        calls = 0
        with pytest.raises(KeyboardInterrupt):
            landscape.connect.run(Pair(problem, a, b), params, Context(interrupt_at(limit), tmp_path / "p"))
    found = landscape.connect.run(Pair(problem, a, b), params, Context(partial=tmp_path / "p"))
    xr.testing.assert_identical(found.drop_attrs(), whole.drop_attrs())


SCRIPT = """
import sys, torch, landscape
from pathlib import Path
from torch import nn
from landscape.base.analysis import Context, Pair
torch.set_num_threads(1)
torch.manual_seed(0)
build = lambda: nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
a, b, x = build(), build(), torch.randn(200, 4)
problem = landscape.Problem(a, "cross_entropy", (x, x[:, :3].argmax(1)))
params = landscape.connect.validate({"method": "bezier", "epochs": 60, "steps": 5, "batch_size": 8})
pair = Pair(problem, a.state_dict(), b.state_dict())
ds = landscape.connect.run(pair, params, Context(partial=Path(sys.argv[1]) if sys.argv[1] else None))
landscape.save(ds, sys.argv[2])
"""


def test_a_killed_run_goes_on_with_the_same_bits(tmp_path, monkeypatch):
    """Oracle: an undisturbed process; the other is killed by SIGKILL in the midst of training."""
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)
    folder, state = tmp_path / "partial", tmp_path / "partial" / "curve-state.npz"

    def finish(partial, name):
        monkeypatch.setattr(sys, "argv", ["run.py", str(partial), str(tmp_path / name)])
        runpy.run_path(str(script))
        return landscape.open(tmp_path / name).drop_attrs()

    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    killed = subprocess.Popen([sys.executable, str(script), str(folder), "none.h5"], env=environment)
    while not state.exists() and killed.poll() is None:
        time.sleep(0.002)
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert state.exists(), "it was killed in the midst of training"
    xr.testing.assert_identical(finish(folder, "resumed.h5"), finish("", "whole.h5"))


def test_partial_results_of_other_models_are_refused(tmp_path):
    """Oracle: the identity that the folder holds."""
    problem, a, b = conv_pair()
    params = landscape.connect.validate({"steps": 3})
    landscape.connect.run(Pair(problem, a, b), params, Context(partial=tmp_path / "p"))
    with pytest.raises(InputError, match="another b"):
        landscape.connect.run(Pair(problem, a, a), params, Context(partial=tmp_path / "p"))


def test_partial_results_on_other_held_out_data_are_refused(tmp_path):
    """Oracle: the sentence. The input has no hash by itself: its batches are compared."""
    problem, a, b = conv_pair()
    params = landscape.connect.validate({"steps": 3, "resamples": 100})

    def run(data):
        context = Context(partial=tmp_path / "p", inputs={"test_data": data})
        landscape.connect.run(Pair(problem, a, b), params, context)

    run(images(7))
    run(images(7))
    with pytest.raises(InputError, match=r"made with another test_data .*remove that folder"):
        run(images(6))


def test_models_that_do_not_fit():
    """Oracle: the sentence names the parameter."""
    problem, a, _ = conv_pair()
    with pytest.raises(InputError, match=r"lacks parameter 'body\.0\.weight'"):
        landscape.connect(problem, a, seeded(mlp, 0).state_dict())


@pytest.mark.parametrize("given", ["runs/a.pt", None, nn.Linear(2, 2)])
def test_what_is_no_model_state_is_named(given):
    """Oracle: the sentence names the model, what it was, and what is wanted."""
    problem, a, _ = conv_pair()
    with pytest.raises(InputError, match=f"model b is a {type(given).__name__}; give a state_dict"):
        landscape.connect(problem, a, given)
    with pytest.raises(InputError, match=r"model b does not fit: .* lacks parameter 'body\.0\.weight'"):
        landscape.connect(problem, a, {k: v for k, v in a.items() if k != "body.0.weight"})


@pytest.mark.parametrize("method", ["bezier", "neb"])
def test_a_curve_between_equal_models_has_no_plane(method):
    """Oracle: there is no chord to span one with, and E at equal ends is its own chord."""
    problem = Problem(seeded(mlp, 0), "cross_entropy", vectors(40))
    theta = problem.theta
    ds = landscape.connect(problem, theta, theta, method=method, epochs=1, plane=3, steps=3)
    assert "plane_loss" not in ds
    assert (ds["p_value"].sel(path="line") == 1.0).all()
    assert (ds["barrier_chord"].sel(path="line") == 0.0).all()


def test_refinement_is_bounded():
    """Oracle: at the most rounds the halved intervals are still numbers; one more is refused at once."""
    problem, a, b = conv_pair()
    ds = landscape.connect(problem, a, b, steps=3, refine=30, batchnorm="keep")
    assert ds.sizes["point"] == 63
    with pytest.raises(InputError, match="refine"):
        landscape.connect(problem, a, b, refine=31)


def test_a_curve_is_trained_with_what_the_models_share():
    """Oracle: a problem whose own frozen layers are those of the models, instead of random ones."""
    a, b = (seeded(mlp, 1).state_dict() for _ in range(2))
    g = torch.Generator().manual_seed(2)
    b["4.weight"] = torch.randn(b["4.weight"].shape, generator=g, dtype=torch.float64)
    curves = []
    for own in (seeded(mlp, 1), seeded(mlp, 9)):
        problem = Problem(own, "cross_entropy", vectors(40), parameters="4.*")
        options = {"method": "bezier", "epochs": 3, "plane": 3, "steps": 3, "keep_points": True}
        curves.append(landscape.connect(problem, a, b, **options))
    xr.testing.assert_equal(*curves)
    with pytest.raises(InputError, match=r"differ in '0\.weight', which is not among"):
        landscape.connect(problem, a, seeded(mlp, 3).state_dict(), method="bezier")


def test_provenance_names_both_models():
    """Oracle: content hashes of the two states differ, and the options are those given."""
    problem, a, b = conv_pair()
    ds = landscape.connect(problem, a, b, steps=3)
    assert ds.attrs["state_a"] != ds.attrs["state_b"]
    assert json.loads(ds.attrs["parameters"])["steps"] == 3
