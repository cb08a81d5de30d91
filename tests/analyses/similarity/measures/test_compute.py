"""``similarity``: its matrices are the measures of `core` on features taken by hand."""

from __future__ import annotations

import numpy as np
import torch
from cases import CASES, mlp, vectors

import landscape
from landscape import Problem
from landscape.analyses.similarity.measures import plots
from landscape.core.similarity import measures
from landscape.core.similarity.zoo_pass import plan_batches


def problems():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        other = mlp().double().eval()
    models = {"a": CASES["mlp"].model().eval(), "b": other}
    return models, {name: Problem(m, "cross_entropy", vectors(40)) for name, m in models.items()}


def test_matrices_are_the_measures_of_features_taken_by_hand():
    """Oracle: layers called by hand on the sampled examples, through the same formulas, pair by pair."""
    models, subjects = problems()
    ds = landscape.similarity(subjects, layers=("0", "2"), sample=24, neighbours=3, seed=2)
    x = vectors(40)[0][plan_batches(40, 40, 2)[0][:24]]
    with torch.no_grad():
        taken = {f"{n}: {i}": m[: i + 1](x).numpy() for n, m in models.items() for i in (0, 2)}
    assert list(ds["unit_a"].values) == list(taken)
    kept = [measures.Representation.of(f - f.mean(0), variance=0.99, k=3) for f in taken.values()]
    for name in ("procrustes", "procrustes_angle", "svcca", "rsa", "mutual_neighbours", "pwcca"):
        measure = getattr(measures, name)
        expected = [[measure(one, two) for two in kept] for one in kept]
        np.testing.assert_allclose(ds[name], expected, rtol=1e-6, atol=1e-7, err_msg=name)
    angle = np.sqrt(np.mean(ds["procrustes_angle"].values[[0, 1], [2, 3]] ** 2))
    np.testing.assert_allclose(ds["model_angle"], [[0, angle], [angle, 0]], atol=1e-7)
    outputs = [taken["a: 2"], taken["b: 2"]]
    for name in ("agreement", "jensen_shannon"):
        expected = [[getattr(measures, name)(one, two) for two in outputs] for one in outputs]
        np.testing.assert_allclose(ds[name], expected, atol=1e-12)
    gap = sum(
        (p - q).square().sum()
        for p, q in zip(models["a"].parameters(), models["b"].parameters(), strict=True)
    )
    np.testing.assert_allclose(ds["weight_distance"], [[0, gap.sqrt().item()], [gap.sqrt().item(), 0]])


def test_a_model_is_like_itself():
    """Oracle: the ends of the measures' ranges."""
    ds = landscape.similarity({"a": CASES["mlp"].problem(), "b": CASES["mlp"].problem()}, sample=12)
    n = ds.sizes["unit_a"] // 2
    twin = np.arange(n), np.arange(n) + n
    for name, same in (("procrustes", 0.0), ("svcca", 1.0), ("rsa", 1.0), ("mutual_neighbours", 1.0)):
        np.testing.assert_allclose(ds[name].values[twin], same, atol=1e-6)
    assert float(ds["agreement"].min()) == 1.0
    assert float(ds["jensen_shannon"].max()) < 1e-12
    assert float(ds["weight_distance"].max()) == 0.0


def test_models_lie_on_a_map_as_far_apart_as_they_are():
    """Oracle: of three models distances on a plane are exact: those of the map are the distances measured."""
    subjects = problems()[1]
    with torch.random.fork_rng():
        torch.manual_seed(2)
        subjects["c"] = Problem(mlp().double().eval(), "cross_entropy", vectors(40))
    ds = landscape.similarity(subjects, sample=24)
    figures = {f.name: f for f in plots({"three": ds})}
    for name, wanted in (("map_0", np.sqrt(ds["jensen_shannon"])), ("angle_map_0", ds["model_angle"])):
        places = np.array([[m.x[0], m.y[0]] for m in figures[name].marks])
        apart = np.linalg.norm(places[:, None] - places, axis=-1)
        np.testing.assert_allclose(apart, wanted, atol=1e-7)
        assert [m.series.model for m in figures[name].marks] == ["a", "b", "c"]
    two = plots({"two": ds.isel(model=[0, 1], other=[0, 1])})
    assert not any("map" in figure.name for figure in two)
