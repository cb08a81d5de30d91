"""Which examples a pass shows: a fair sample of the data, the same for a viewer whoever else looks on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import CASES, images, uneven
from torch import nn

import landscape
from landscape import Problem
from landscape.base.analysis import run_together
from landscape.core.data.batches import read_batches
from landscape.core.data.subsample import plan_pass, sample


def batches_of(n: int, size: int):
    data = torch.arange(n, dtype=torch.float64)[:, None], torch.zeros(n, dtype=torch.long)
    return read_batches(data, batch_size=size, device=torch.device("cpu"), dtype=None)


def shown(plan, viewer: int) -> list[int]:
    """What a viewer is shown: the data holds its own numbers."""
    parts = [b.inputs[: s[viewer], 0] for b, s in zip(plan.batches(), plan.shares, strict=True)]
    return torch.cat(parts).long().tolist()


@pytest.mark.parametrize("cut", [1, 7, 40, 100])
def test_a_sample_is_the_same_however_the_data_is_cut_and_whoever_looks_on(cut):
    """Oracle: the examples carry their own numbers; the viewer alone, with all the data in one batch."""
    (alone,) = (shown(plan_pass(batches_of(40, 40), [10]), 0),)
    plan = plan_pass(batches_of(40, cut), [10, 25, None])
    assert shown(plan, 0) == alone == plan.orders[0].tolist()
    assert shown(plan, 1) == plan.orders[1].tolist()
    assert len({*shown(plan, 1)}) == 25
    assert sorted(shown(plan, 2)) == list(range(40))


@pytest.mark.parametrize("labels", ["sorted", "in turn"])
def test_a_sample_holds_all_classes_in_their_proportion(labels):
    """Oracle: the hypergeometric law, 128 of 1000 with 100 in each class: 12.8 ± 3.2; four deviations."""
    n = torch.arange(1000)
    y = n // 100 if labels == "sorted" else n % 10
    (order,) = plan_pass(batches_of(1000, 64), [128]).orders
    counts = torch.bincount(y[order], minlength=10).double()
    assert len(counts) == 10
    assert bool(((counts - 12.8).abs() < 4 * 3.2).all())


def test_everything_comes_in_the_datas_order_as_it_is():
    """Oracle: the batches themselves, not copies."""
    data = batches_of(11, 4)
    plan = plan_pass(data, [None, None])
    assert all(a is b for a, b in zip(plan.batches(), data, strict=True))
    assert plan.orders[1].tolist() == list(range(11))


def test_batches_that_stay_whole_give_their_share_each():
    """Oracle: the numbers by hand: of 10 examples in batches of 4, 4 and 2 a half is the first 2, 2 and 1."""
    plan = plan_pass(batches_of(10, 4), [5], whole=True)
    assert shown(plan, 0) == [0, 1, 4, 5, 8] == plan.orders[0].tolist()
    assert [b.size for b in plan.batches()] == [4, 4, 2]


@pytest.mark.parametrize("cut", [1, 7, 40])
def test_a_sample_of_the_examples_is_that_of_a_pass(cut):
    """Oracle: the numbers that examples carry against torch's own permutation; all of them as they are."""
    wanted = torch.randperm(40, generator=torch.Generator().manual_seed(0))[:10]
    found = torch.cat([b.inputs[:, 0] for b in sample(batches_of(40, cut), 10)])
    assert found.tolist() == wanted.tolist()
    data = batches_of(40, cut)
    assert all(a is b for a, b in zip(sample(data, 40), data, strict=True))


def test_a_sample_of_batches_that_differ_in_form_is_of_all_of_them():
    """Oracle: by hand: half of batches of 4 and 2 sequences of unlike length is 2 and 1."""
    data = [(torch.full((4, 5), 1.0), torch.zeros(4)), (torch.full((2, 9), 2.0), torch.zeros(2))]
    batches = read_batches(data, batch_size=4, device=torch.device("cpu"), dtype=None)
    found = sample(batches, 3)
    assert [(b.size, *b.inputs.shape, len(b.target)) for b in found] == [(2, 2, 5, 2), (1, 1, 9, 1)]


def test_a_limit_gives_the_numbers_of_a_random_sample_of_sorted_data():
    """Oracle: the analysis of the sample alone; classes differ a hundredfold in contrast."""
    x, y = images(40, 16)
    x = x * torch.where(torch.arange(40) < 20, 1.0, 100.0)[:, None, None, None]
    problem = Problem(CASES["conv_batchnorm"].model(), "cross_entropy", uneven((x, y), (13, 20, 7)))
    ds = landscape.feature_variance(problem, images=16)
    chosen = torch.randperm(40, generator=torch.Generator().manual_seed(0))[:16]
    alone = landscape.feature_variance(
        Problem(CASES["conv_batchnorm"].model(), "cross_entropy", (x[chosen], y[chosen]))
    )
    assert int(ds["images"]) == 16 and 4 <= int((chosen < 20).sum()) <= 12
    for name in ("spatial_variance", "sample_variance", "spatial_variance_se"):
        np.testing.assert_allclose(ds[name], alone[name], rtol=1e-9)


def test_analyses_with_different_limits_share_a_pass_as_if_alone():
    """Oracle: each in a pass of its own; image numbers point into the data."""
    x = images(20, 16)
    problem = Problem(CASES["conv_batchnorm"].model(), "cross_entropy", x, batch_size=6)
    pairs = [
        (landscape.fourier, landscape.fourier.validate({"images": 9})),
        (landscape.transfer, landscape.transfer.validate({"images": 15})),
        (landscape.feature_variance, landscape.feature_variance.validate({})),
    ]
    together = run_together(problem, pairs)
    for ds, (analysis, params) in zip(together, pairs, strict=True):
        alone = analysis(problem, **params.model_dump())
        for name in alone.data_vars:
            if alone[name].dtype.kind == "f":
                np.testing.assert_allclose(ds[name], alone[name], rtol=1e-8, atol=1e-12, err_msg=name)
    assert [int(ds["images"]) for ds in together] == [9, 15, 20]
    fourier = together[0]
    whole = landscape.fourier(problem, images=20)
    assert fourier["image"].values.tolist() != list(range(9))
    np.testing.assert_allclose(
        fourier["image_power"], whole["image_power"].sel(image=fourier["image"].values), rtol=1e-5
    )
    assert "9 images" in landscape.fourier.plots({"a": fourier})[0].caption
    assert "20 images" in landscape.feature_variance.plots({"a": together[2]})[0].caption
    assert (
        "15 to 20 images"
        in landscape.transfer.plots({"a": together[1], "b": landscape.transfer(problem)})[0].caption
    )


def test_batchnorm_statistics_stay_those_of_whole_batches():
    """Oracle: the variance of the normalised output of the whole batches by hand."""
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3)
    )
    x, y = images(12, 8)
    problem = Problem(model.double(), "cross_entropy", (x, y), batch_size=6, batchnorm="train")
    ds = landscape.feature_variance(problem, layers="1", images=6)
    with torch.no_grad():
        maps = [
            nn.functional.batch_norm(model[0](part), None, None, training=True)[:3] for part in x.split(6)
        ]
    by_hand = torch.cat(maps).var((2, 3)).mean()
    assert float(ds["spatial_variance"][0]) == pytest.approx(float(by_hand), rel=1e-6)
