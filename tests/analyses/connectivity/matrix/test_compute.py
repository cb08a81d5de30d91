"""``connectivity`` against ``connect``, hand-made permutations and plain averages."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from cases import ConvNet, images, snapshot, vectors
from torch import nn

import landscape
from landscape import Problem
from landscape.base.analysis import Context
from landscape.errors import InputError


def seeded(build, seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build().double()


def mlp(width=6):
    return nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 3))


def problem_of(model):
    return Problem(model, "cross_entropy", vectors(40))


def permuted(model, seed):
    order = torch.randperm(6, generator=torch.Generator().manual_seed(seed))
    copy = mlp().double()
    state = model.state_dict()
    copy.load_state_dict(
        {
            "0.weight": state["0.weight"][order],
            "0.bias": state["0.bias"][order],
            "2.weight": state["2.weight"][:, order],
            "2.bias": state["2.bias"],
        }
    )
    return copy


@pytest.fixture(scope="module")
def copies():
    """A model and two permuted copies of it."""
    model = seeded(mlp, 0)
    models = {"a": model, "b": permuted(model, 1), "c": permuted(model, 2)}
    problems = {name: problem_of(m) for name, m in models.items()}
    return problems, landscape.connectivity(problems, steps=7, test_data=vectors(21))


def test_permuted_copies_have_no_barriers_once_aligned(copies):
    """Oracle: the copies are one function, with units in hand-made orders."""
    _, ds = copies
    aligned = ds.sel(alignment="aligned")
    for name in ("barrier_chord", "barrier_mean", "barrier_max"):
        np.testing.assert_allclose(aligned[name], 0.0, atol=1e-10)
    np.testing.assert_allclose(aligned["distance"], 0.0, atol=1e-12)
    loss = float(ds["model_loss"][0, 0])
    np.testing.assert_allclose(aligned["tree_saddle"], loss, rtol=1e-12)
    assert (
        ds["saddle"].sel(alignment="as trained", split="train", quantity="loss").values >= loss - 1e-12
    ).all()


def test_soups_of_permuted_copies(copies):
    """Oracle: the aligned average is the model itself; the plain one a mean of state_dicts in torch."""
    problems, ds = copies
    soups = {str(n).split(": ")[1]: i for i, n in enumerate(ds["soup"].values)}
    loss = ds["soup_loss"].sel(split="train").values
    assert loss[soups["uniform, aligned"]] == pytest.approx(float(ds["model_loss"][0, 0]), rel=1e-12)
    first = problems["a"]
    mean = torch.stack([p.theta for p in problems.values()]).mean(0)
    assert loss[soups["uniform, as trained"]] == pytest.approx(first.measure(mean).loss, rel=1e-12)
    assert ds["soup_members"].values[soups["uniform, aligned"]] == "a, b, c"


def test_matrices_are_those_of_connect():
    """Oracle: ``connect`` on each pair, bit for bit, with BatchNorm and held-out data."""
    models = {name: seeded(ConvNet, seed) for name, seed in (("a", 1), ("b", 2), ("c", 3))}
    problems = {n: Problem(m, "cross_entropy", images(24), batch_size=10) for n, m in models.items()}
    options = {"steps": 5, "refine": 1, "test_data": images(11), "align": "weights"}
    ds = landscape.connectivity(problems, **options)
    for one, two in (("a", "b"), ("a", "c"), ("b", "c")):
        pair = landscape.connect(problems[one], models[one].state_dict(), models[two].state_dict(), **options)
        for kind, path in (("as trained", "line"), ("aligned", "line, aligned")):
            for name in ("barrier_chord", "saddle", "arc_mean", "barrier_mean_low", "p_value"):
                here = ds[name].sel(alignment=kind, model=one, other=two).values
                np.testing.assert_array_equal(here, pair[name].sel(path=path).values)
                np.testing.assert_array_equal(here, ds[name].sel(alignment=kind, model=two, other=one).values)


def test_unlike_models_are_kept_apart():
    """Oracle: widths 6 and 5 share no space: NaN between them, barriers within, two trees."""
    models = [seeded(mlp, 0), seeded(mlp, 1), seeded(lambda: mlp(5), 2), seeded(lambda: mlp(5), 3)]
    ds = landscape.connectivity({f"m{i}": problem_of(m) for i, m in enumerate(models)}, steps=5)
    assert ds["family"].values.tolist() == [0, 0, 1, 1]
    barrier = ds["barrier_chord"].sel(split="train", quantity="loss").values
    joined = np.isfinite(barrier)
    assert joined[:, :2, :2].all()
    assert joined[:, 2:, 2:].all()
    assert not joined[:, :2, 2:].any()
    assert ds.sizes["edge"] == 2
    metrics = {m.name: m.value for m in landscape.connectivity.summary(ds)}
    assert (metrics["pairs"], metrics["pairs apart"]) == (2, 4)
    figures = landscape.connectivity.plots({"zoo": ds})
    assert "unlike architecture" in figures[0].caption


def test_a_single_model_and_no_alignment():
    """Oracle: nothing to join: own loss on the diagonal, no edges, no soups."""
    problem = problem_of(seeded(mlp, 0))
    ds = landscape.connectivity({"only": problem}, align=None)
    assert ds["alignment"].values.tolist() == ["as trained"]
    assert float(ds["saddle"].sel(split="train", quantity="loss")[0, 0, 0]) == problem.loss()
    assert (ds.sizes["edge"], ds.sizes["soup"]) == (0, 0)
    assert landscape.connectivity.plots({"one": ds})


def test_models_that_cannot_be_aligned_tell_the_way_out():
    """Oracle: the sentence; a linear model has no units that could change places."""
    problems = {n: problem_of(seeded(lambda: nn.Linear(4, 3), i)) for i, n in enumerate("ab")}
    with pytest.raises(InputError, match=r"no units of Linear may be permuted.*; align = none leaves"):
        landscape.connectivity(problems)


def test_models_with_other_data_are_refused():
    """Oracle: the sentence names the models and what differs."""
    problems = {"a": problem_of(seeded(mlp, 0)), "b": Problem(seeded(mlp, 1), "cross_entropy", vectors(39))}
    with pytest.raises(InputError, match="models 'a' and 'b' have another data"):
        landscape.connectivity(problems)
    problems["b"] = Problem(seeded(lambda: mlp(5), 1), "cross_entropy", vectors(39))  # never joined to a
    assert landscape.connectivity(problems, steps=3, align=None)["family"].values.tolist() == [0, 1]


def test_an_interrupted_run_goes_on_with_the_same_bits(tmp_path):
    """Oracle: the run that was never interrupted."""
    problems = {f"m{i}": problem_of(seeded(mlp, i)) for i in range(3)}
    params = landscape.connectivity.validate({"steps": 9})
    whole = landscape.connectivity.run(problems, params)

    def stop_at(limit):
        def progress(fraction):
            if fraction > limit:
                raise KeyboardInterrupt

        return progress

    for limit in (0.1, 0.5, 0.8):
        with pytest.raises(KeyboardInterrupt):
            landscape.connectivity.run(problems, params, Context(stop_at(limit), tmp_path / "p"))
    found = landscape.connectivity.run(problems, params, Context(partial=tmp_path / "p"))
    xr.testing.assert_identical(found.drop_attrs(), whole.drop_attrs())


def test_the_models_are_untouched():
    """Oracle: everything of the models before and after."""
    models = [seeded(ConvNet, seed) for seed in (1, 2)]
    before = [snapshot(m) for m in models]
    problems = {f"m{i}": Problem(m, "cross_entropy", images(24), batch_size=10) for i, m in enumerate(models)}
    landscape.connectivity(problems, steps=3, align="activations")
    assert [snapshot(m) for m in models] == before
