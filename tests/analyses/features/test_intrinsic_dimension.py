"""``intrinsic_dimension``: its numbers on features taken by hand, and on inputs of known dimension."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import CASES, vectors
from torch import nn

import landscape
from landscape import Problem
from landscape.analyses.features.intrinsic_dimension import plots
from landscape.core.similarity.zoo_pass import plan_batches
from landscape.core.stats.dimension import participation_ratio, two_nn


def test_layers_are_measured_as_features_taken_by_hand():
    """Oracle: layers called by hand on the sampled examples, through the formulas alone."""
    model = CASES["mlp"].model().double().eval()
    ds = landscape.intrinsic_dimension(
        Problem(model, "cross_entropy", vectors(40)), layers=("*",), sample=24, seed=2
    )
    x = vectors(40)[0].double()[plan_batches(40, 40, 2)[0][:24]]
    assert list(ds["layer"].values) == [str(i) for i in range(len(model))]
    for i in range(len(model)):
        with torch.no_grad():
            taken = model[: i + 1](x).numpy()
        centred = taken - taken.mean(0)
        gram = centred @ centred.T
        at = ds.isel(layer=i)
        assert int(at["entries"]) == taken.shape[1]
        value, error = participation_ratio(gram)
        assert float(at["participation_ratio"]) == pytest.approx(value)
        assert float(at["participation_ratio_se"]) == pytest.approx(error)
        assert float(at["two_nn"]) == pytest.approx(two_nn(gram))
        assert float(at["two_nn_half"]) == pytest.approx(two_nn(gram[:12, :12]))
        assert float(at["dead"]) == (np.ptp(taken, axis=0) == 0).mean()


def test_a_plane_in_many_coordinates_has_two_dimensions():
    """Oracle: uniform points of a square, turned into sixty coordinates: 2, and evenly shared variance: 2.

    A rectifier that no example passes is dead, and so is all behind it; tanh of large numbers is saturated.
    """
    torch.manual_seed(0)
    flat = torch.rand(400, 2, dtype=torch.float64) - 0.5
    embed = nn.Linear(2, 60, bias=False).double()
    embed.weight.data = torch.linalg.qr(torch.randn(60, 2, dtype=torch.float64))[0]
    dead = nn.Linear(60, 5).double()
    dead.weight.data *= 0.01
    dead.bias.data.fill_(-5.0)
    steep = nn.Linear(5, 3).double()
    steep.bias.data.fill_(9.0)
    model = nn.Sequential(embed, dead, nn.ReLU(), steep, nn.Tanh())
    data = (flat, torch.zeros(400, dtype=torch.long))
    ds = landscape.intrinsic_dimension(Problem(model, "cross_entropy", data), layers=("*",), sample=400)
    assert float(ds["participation_ratio"][0]) == pytest.approx(2.0, abs=0.05)
    assert float(ds["two_nn"][0]) == pytest.approx(2.0, abs=0.25)
    np.testing.assert_array_equal(ds["dead"], [0, 0, 1, 1, 1])
    np.testing.assert_array_equal(np.isnan(ds["participation_ratio"]), [False, False, True, True, True])
    np.testing.assert_array_equal(ds["saturated"][:4], np.nan)
    assert float(ds["saturated"][4]) == 1.0
    names = [figure.name for figure in plots({"net": ds})]
    assert names == ["participation_ratio", "two_nn", "dead", "dormant", "saturated"]
