"""What the analyses of connectivity share: progress, held-out data, families of models, profiles."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import xarray as xr
from cases import CASES, mlp, uneven, vectors

from landscape import Problem
from landscape.analyses.connectivity._profiles import (
    Measured,
    Meter,
    check_alike,
    group_by_architecture,
    group_loss_unit,
    held_out,
    profile,
)
from landscape.base.analysis import Context
from landscape.base.ledger import MemoryLedger
from landscape.errors import InputError


def test_progress_counts_passes_and_never_falls():
    """Oracle: shares of the total, by hand; what an earlier run has done counts at once."""
    seen = []
    meter = Meter(seen.append, 8)
    meter.advance(2)
    meter.reach(6)
    meter.reach(1)
    meter.advance(100)
    assert seen == [0.25, 0.75, 0.75, 1.0]


def test_models_of_unlike_shapes_are_families_of_their_own():
    """Oracle: the constructors."""
    layers = torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 3)
    wide = Problem(torch.nn.Sequential(*layers).double(), "cross_entropy", vectors())
    problems = [CASES["mlp"].problem(), wide, CASES["mlp"].problem(), CASES["tied"].problem()]
    assert group_by_architecture(problems) == [[0, 2], [1], [3]]


def test_models_that_can_be_joined_must_share_data_and_loss():
    """Oracle: the sentence names the models and what differs; models that no line joins may differ."""
    model, data = mlp().double(), vectors()
    one = Problem(model, "cross_entropy", data)
    check_alike({"a": one, "b": Problem(mlp().double(), "cross_entropy", data), "c": CASES["tied"].problem()})
    with pytest.raises(InputError, match="'a' and 'b' have another data"):
        check_alike({"a": one, "b": Problem(model, "cross_entropy", vectors(12))})
    mse = Problem(model, lambda out, y: (out.sum(1) - y).square(), data)
    with pytest.raises(InputError, match="'a' and 'b' have another loss"):
        check_alike({"a": one, "b": mse})
    decayed = Problem(mlp().double(), "cross_entropy", data, weight_decay=0.5)
    with pytest.raises(InputError, match="'a' and 'b' have another weight decay"):
        check_alike({"a": one, "b": decayed})


def test_held_out_data_come_once(tmp_path):
    """Oracle: the data given; none is given without either, and twice is refused."""
    problem, data = CASES["mlp"].problem(), vectors(6)
    assert held_out(problem, None, {}, Context()) is None
    given = Context(inputs={"test_data": data})
    batches = held_out(problem, None, {}, given)
    assert torch.equal(torch.cat([b.inputs for b in batches]), data[0])
    with pytest.raises(InputError, match="given twice: as test_data and by the option test"):
        held_out(problem, "math:sqrt", {}, given)
    cut = Context(inputs={"test_data": list(uneven(data, [4, 2]))})
    assert sum(b.size for b in held_out(problem, None, {}, cut)) == 6


def test_the_loss_of_a_group_is_in_nats_only_if_all_are():
    """Oracle: the attributes."""
    for losses, unit in (
        (["cross_entropy"] * 2, "nats/example"),
        (["cross_entropy", "mse"], "loss/example"),
        ([], "loss/example"),
    ):
        problems = {str(i): {"loss": loss} for i, loss in enumerate(losses)}
        assert group_loss_unit(xr.Dataset(attrs={"problems": json.dumps(problems)})) == unit


class Hill:
    """Stands for the evaluator of a path: a loss with a narrow hill at t = 0.6."""

    def values(self, t):
        loss = np.exp(-(((t - 0.6) / 0.05) ** 2))
        return {
            "data_loss": loss,
            "penalty": 0.5,
            "accuracy": 1.0 - loss,
            "losses": np.array([loss, loss]),
            "correct": np.array([1.0 - loss, 1.0 - loss]),
        }


def test_a_profile_is_refined_beside_the_largest_gap():
    """Oracle: the formula at each point; the points that were added lie about the hill."""
    curve = SimpleNamespace(arc=lambda t: 2.0 * np.asarray(t))
    found = profile("line", curve, Hill(), 6, 3, MemoryLedger(), Meter(lambda f: None, 12))
    assert isinstance(found, Measured)
    assert len(found.t) == 12 and (np.diff(found.t) > 0).all()
    np.testing.assert_array_equal(found.arc, 2 * found.t)
    expected = np.exp(-(((found.t - 0.6) / 0.05) ** 2))
    np.testing.assert_allclose(found.values["data_loss"][0], expected, rtol=1e-15)
    np.testing.assert_allclose(found.profile("loss", 0).values, expected + 0.5, rtol=1e-12)
    np.testing.assert_allclose(found.profile("data_loss", 0).values, expected, rtol=1e-12)
    np.testing.assert_allclose(found.profile("error", 0).values, 100 * expected, rtol=1e-9, atol=1e-12)
    added = np.setdiff1d(np.round(found.t, 12), np.round(np.linspace(0, 1, 6), 12))
    assert ((added > 0.4) & (added < 0.8)).all()
