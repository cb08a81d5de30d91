"""``simplex`` against plain measures at its own points, and uninterrupted runs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from cases import ConvNet, images, snapshot, vectors
from scipy import stats
from torch import nn

import landscape
from landscape import Problem
from landscape.base.analysis import Context
from landscape.core.connectivity.simplex import random_shares
from landscape.errors import InputError


def seeded(build, seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build().double()


def mlp(width=6):
    return nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 3))


def group(count=2, make=mlp, data=None, **options):
    data = vectors(40) if data is None else data
    return {f"m{i}": Problem(seeded(make, i), "cross_entropy", data, **options) for i in range(count)}


def test_losses_between_the_models_are_plain_measures():
    """Oracle: `Problem.measure` at the documented random points, and at the models; numpy's mean."""
    problems = group(weight_decay=0.01)
    ds = landscape.simplex(problems, epochs=2, samples=6, seed=3, test_data=vectors(17))
    first = problems["m0"]
    ends = torch.stack([p.theta for p in problems.values()])
    shares = random_shares(6, 2, torch.Generator().manual_seed(3))
    losses = [first.measure(row @ ends).loss for row in shares]
    alone = ds.sel(region="models alone", split="train")
    np.testing.assert_allclose(alone["loss"], losses, rtol=1e-12)
    assert float(alone["mean_loss"]) == pytest.approx(np.mean(losses))
    assert float(alone["mean_loss_se"]) == pytest.approx(np.std(losses, ddof=1) / 6**0.5)
    assert float(alone["volume"]) == pytest.approx(float((ends[1] - ends[0]).norm()))
    assert ds["dimension"].values.tolist() == [1, 2, 2]
    for name, problem in problems.items():
        assert float(ds["vertex_loss"].sel(split="train", vertex=name)) == problem.loss()
    assert ds["vertex"].values.tolist() == ["m0", "m1", "point 1", "point 2"]
    assert ds["split"].values.tolist() == ["train", "test"]


def test_a_trained_simplex_is_lower_than_the_models_alone():
    """Oracle: between trained models the loss rises, and what lowers it is the training."""
    x, y = vectors(40)
    problems = {}
    for seed in range(2):
        model = seeded(mlp, seed)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
        for _ in range(150):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
        problems[f"m{seed}"] = Problem(model, "cross_entropy", (x, y))
    ds = landscape.simplex(problems, epochs=60, lr=0.1, points=1, batch_size=16)
    summary = landscape.simplex.summary(ds)
    metrics = {m.name: m.value for m in summary}
    inside = ds.isel(split=0, region=0)
    half = stats.sem(inside["loss"]) * stats.t.ppf(0.975, ds.sizes["sample"] - 1)
    assert summary[0].error == pytest.approx(half, rel=1e-6)
    assert metrics["loss, with points"] < 0.7 * metrics["loss, models alone"]


def test_permuted_models_and_batchnorm():
    """Oracle: between a model and itself the loss is its own, and the caller's model is untouched."""
    model = seeded(ConvNet, 0)
    before = snapshot(model)
    problems = {n: Problem(model, "cross_entropy", images(24), batch_size=10) for n in "ab"}
    ds = landscape.simplex(problems, epochs=1, points=1, samples=3, align="weights")
    assert str(ds["batchnorm_policy"].item()) == "recalibrate"
    alone = ds["loss"].sel(region="models alone").values
    np.testing.assert_allclose(alone, float(ds["vertex_loss"][0, 0]), rtol=1e-12)
    assert float(ds["volume"][0]) == 0.0
    assert snapshot(model) == before


def test_groups_that_no_simplex_joins():
    """Oracle: the sentence names the models and what keeps them apart."""
    one = group(1)
    with pytest.raises(InputError, match="'m0' and 'wide' are of unlike architecture"):
        landscape.simplex(one | {"wide": Problem(seeded(lambda: mlp(7), 1), "cross_entropy", vectors(40))})
    with pytest.raises(InputError, match=r"differ in '0\.weight'"):
        landscape.simplex(group(parameters="2.*"))
    with pytest.raises(InputError, match="another data"):
        landscape.simplex(one | {"b": Problem(seeded(mlp, 1), "cross_entropy", vectors(39))})


def test_an_interrupted_run_goes_on_with_the_same_bits(tmp_path):
    """Oracle: the run that was never interrupted."""
    problems = group()
    params = landscape.simplex.validate({"epochs": 2, "samples": 4})
    whole = landscape.simplex.run(problems, params, Context())

    for limit in (0.2, 0.8):

        def stop(fraction, limit=limit):
            if fraction > limit:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            landscape.simplex.run(problems, params, Context(progress=stop, partial=tmp_path / "p"))
    again = landscape.simplex.run(problems, params, Context(partial=tmp_path / "p"))
    xr.testing.assert_identical(again.drop_attrs(), whole.drop_attrs())
