"""``layer_barriers`` against a network of two weights, worked out by hand, and `connect`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import CASES
from torch import nn

import landscape
from landscape import Problem
from landscape.analyses.connectivity.layer_barriers import plots


def test_a_product_of_two_weights_has_its_closed_form():
    """Oracle: (1 − w₂w₁)² from (1, 1) to (−1, −1).

    Both together (1 − (1 − 2t)²)², 0 at the ends and 1 between; one alone 4t²: no barrier, and an end of 4.
    """
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)).double()
    one = torch.ones(1, 1, dtype=torch.float64)
    for p in model.parameters():
        p.data.fill_(1.0)
    a = {name: value.clone() for name, value in model.state_dict().items()}
    b = {name: -value for name, value in a.items()}
    problem = Problem(model, lambda y, t: (y - t).square().mean(), [(one, one)])
    ds = landscape.layer_barriers(problem, a, b, steps=21)
    loss = ds.sel(quantity="loss")
    np.testing.assert_allclose(loss["barrier_chord"].sel(way="one"), 0.0, atol=1e-12)
    np.testing.assert_allclose(loss["value"].sel(way="one"), [[0, 4], [0, 4]], atol=1e-12)
    np.testing.assert_allclose(loss["barrier_chord"].sel(way="up to"), [0.0, 1.0], atol=1e-12)
    np.testing.assert_allclose(loss["value"].sel(way="up to"), [[0, 4], [0, 0]], atol=1e-12)
    np.testing.assert_allclose(ds["distance"], [[2, 2], [2, 8**0.5]])


@pytest.fixture(scope="module")
def two():
    torch.manual_seed(0)
    problem = CASES["conv_batchnorm"].problem()
    a = {name: value.clone() for name, value in problem.module.state_dict().items()}
    b = {
        name: value + 0.3 * torch.rand_like(value) if value.is_floating_point() else value
        for name, value in a.items()
    }
    return problem, a, b


def test_all_layers_together_are_the_straight_line(two):
    """Oracle: `connect` of the same two models, whose path knows nothing of layers."""
    problem, a, b = two
    ds = landscape.layer_barriers(problem, a, b, steps=5, refine=0)
    line = landscape.connect(problem, a, b, method="linear", align=None, steps=5, refine=0)
    for quantity in ("loss", "error"):
        whole = ds.sel(way="up to", quantity=quantity).isel(layer=-1)
        straight = line.isel(path=0, split=0).sel(quantity=quantity)
        for name in ("barrier_chord", "barrier_max", "saddle"):
            assert float(whole[name]) == pytest.approx(float(straight[name]), rel=1e-9, abs=1e-9)
    # the first layer is the same, alone or up to it
    first = ds.isel(layer=0)
    np.testing.assert_array_equal(
        first["barrier_chord"].sel(way="one"), first["barrier_chord"].sel(way="up to")
    )


def test_statistics_go_with_their_layer(two):
    """Oracle: the path of a BatchNorm ends at a model put together by hand, with its statistics."""
    problem, a, b = two
    ds = landscape.layer_barriers(problem, a, b, steps=3, refine=0, batchnorm="checkpoint", ways=["one"])
    names = [n for n, m in problem.module.named_modules() if isinstance(m, nn.BatchNorm2d)]
    state = dict(a)
    state |= {k: v for k, v in b.items() if k.rpartition(".")[0] == names[0]}
    problem.module.load_state_dict(state)
    want = problem.measure(problem.space.flatten(dict(problem.module.named_parameters()))).loss
    problem.module.load_state_dict(a)
    at = ds.sel(way="one", quantity="loss", layer=names[0])
    assert float(at["value"].sel(end="b")) == pytest.approx(want, rel=1e-6)
    assert len(plots({"pair": ds})) == 2


def test_the_first_model_is_measured_once_and_the_price_says_so(two, monkeypatch):
    """Oracle: calls counted by hand: 7 points of each path, its start shared, the first layer's path too."""
    from landscape.core.problem.evaluator import Evaluator

    problem, a, b = two
    calls = []
    plain = Evaluator.values
    monkeypatch.setattr(Evaluator, "values", lambda self, t: (calls.append(t), plain(self, t))[1])
    ds = landscape.layer_barriers(problem, a, b, steps=5, refine=1)
    layers = ds.sizes["layer"]
    assert len(calls) == (2 * layers - 1) * 6 + 1
    assert calls.count(0.0) == 1
    params = landscape.layer_barriers.validate({"steps": 5, "refine": 1})
    cost = landscape.layer_barriers.cost
    assert cost(params, problem).forwards == pytest.approx(2.2 * len(calls))  # recalibrated at each
    data = torch.zeros(2, 4).double(), torch.zeros(2).long()
    plain_model = Problem(nn.Linear(4, 3).double(), "cross_entropy", data)
    without = cost(params, plain_model).forwards
    assert without == int(without)  # nothing to recalibrate: whole passes
