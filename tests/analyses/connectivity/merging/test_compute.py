"""``merging`` against plain measures of the merged states, and numpy's means of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import ConvNet, images, vectors
from torch import nn

import landscape
from landscape import Problem
from landscape.core.merging.merge import evaluation, merge
from landscape.core.symmetry.symmetry import find_symmetry
from landscape.errors import InputError


def mlp(width=6, classes=3):
    return nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, classes))


def seeded(make, seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make().double().eval()


def group(make=mlp, data=None, count=2):
    data = vectors(40) if data is None else data
    return {f"m{i}": Problem(seeded(make, i), "cross_entropy", data, weight_decay=0.1) for i in range(count)}


def test_numbers_are_those_of_the_merged_models():
    """Oracle: torch's own loss of the merged state_dict in the caller's model; ensemble by its softmax."""
    problems = group(count=2)
    held = vectors(17)
    ds = landscape.merging(problems, test_data=held)
    assert ds["entry"].values.tolist() == [
        *("m0", "m1", "ensemble", "mean", "Fisher", "RegMean", "SLERP"),
        *("mean, aligned", "Fisher, aligned", "RegMean, aligned", "SLERP, aligned"),
    ]
    for split, (x, y) in {"train": vectors(40), "test": held}.items():
        model = mlp().double()
        model.load_state_dict(merge(problems, "regmean").state)
        with torch.no_grad():
            losses = nn.functional.cross_entropy(model(x), y, reduction="none").numpy()
            p = sum(seeded(mlp, i)(x).softmax(1) for i in range(2)) / 2
            own = [nn.functional.cross_entropy(seeded(mlp, i)(x), y, reduction="none") for i in range(2)]
        at = ds.sel(split=split)
        assert float(at["loss"].sel(entry="RegMean")) == pytest.approx(losses.mean())
        assert float(at["loss_se"].sel(entry="RegMean")) == pytest.approx(losses.std(ddof=1) / len(y) ** 0.5)
        assert float(at["loss"].sel(entry="ensemble")) == pytest.approx(
            float(nn.functional.nll_loss(p.log(), y))
        )
        assert float(at["accuracy"].sel(entry="ensemble")) == pytest.approx(
            float((p.argmax(1) == y).double().mean())
        )
        change = losses - np.mean([o.numpy() for o in own], 0)
        assert float(at["loss_change"].sel(entry="RegMean")) == pytest.approx(change.mean())
        assert float(at["loss_change_se"].sel(entry="RegMean")) == pytest.approx(
            change.std(ddof=1) / len(y) ** 0.5
        )
    best = {m.name: m.value for m in landscape.merging.summary(ds)}
    merges = ds.sel(split="test").where(ds["kind"] == "merge", drop=True)
    assert best["best merge"] == str(merges["entry"][int(merges["loss"].values.argmin())].item())


def test_permuted_copies_are_as_good_as_the_original():
    """Oracle: the original: aligned, every merge of its copies has its loss, BatchNorm's statistics kept."""
    data = images(24)
    model = seeded(ConvNet, 0)
    symmetry = find_symmetry(model, data[0][:2])
    problems = {"m0": Problem(model, "cross_entropy", data)}
    for seed in (1, 2):
        copy = seeded(ConvNet, 0)
        motion = symmetry.random(torch.Generator().manual_seed(seed))
        copy.load_state_dict(symmetry.apply(motion, model.state_dict()))
        problems[f"m{seed}"] = Problem(copy, "cross_entropy", data)
    ds = landscape.merging(problems, batchnorm="average").isel(split=0)
    aligned = [e for e in ds["entry"].values if "aligned" in str(e)]
    np.testing.assert_allclose(ds["loss"].sel(entry=aligned), float(ds["loss"].sel(entry="m0")), rtol=1e-7)
    np.testing.assert_allclose(ds["distance"].sel(entry=aligned), 0.0, atol=1e-7)
    assert float(ds["loss"].sel(entry="mean")) != pytest.approx(float(ds["loss"].sel(entry="m0")), rel=1e-4)
    # the caller's models are untouched
    assert evaluation(problems["m0"], model.state_dict()).loss == problems["m0"].loss()


def test_a_base_brings_two_more_methods():
    """Oracle: from a base, half the sum of two task vectors is the mean of the models."""
    problems = group(count=2)
    base = seeded(mlp, 9).state_dict()
    ds = landscape.merging(problems, base=base, scale=0.5, align=None).isel(split=0)
    assert "TIES" in ds["entry"].values
    np.testing.assert_allclose(
        float(ds["loss"].sel(entry="task arithmetic")), float(ds["loss"].sel(entry="mean")), rtol=1e-10
    )


def test_what_cannot_be_merged_is_said():
    """Oracle: by hand."""
    problems = group()
    with pytest.raises(InputError, match="heads"):
        landscape.merging(
            {**problems, "x": Problem(seeded(lambda: mlp(6, 4), 0), "cross_entropy", vectors(40))}
        )
    with pytest.raises(InputError, match="at least two"):
        landscape.merging({"m0": problems["m0"]})
    with pytest.raises(InputError, match="give base"):
        landscape.merging(problems, methods=("ties",), align=None)
    with pytest.raises(InputError, match="not both"):
        landscape.merging(problems, base={}, base_state="cases:ConvNet")
