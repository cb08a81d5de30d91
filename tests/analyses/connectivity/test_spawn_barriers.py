"""``spawn_barriers`` against a loss worked out by hand, and siblings read off names."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import landscape
from landscape import Problem
from landscape.analyses.connectivity.spawn_barriers import plots, siblings
from landscape.errors import InputError


def product(a, b):
    """The loss (1 − w₂w₁)² at (a, b)."""
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)).double()
    for parameter, value in zip(model.parameters(), (a, b), strict=True):
        nn.init.constant_(parameter, value)
    one = torch.ones(1, 1, dtype=torch.float64)
    return Problem(model, lambda y, t: (y - t).square().mean(), [(one, one)])


def test_children_in_two_basins_and_in_one():
    """Oracle: (1 − w₂w₁)². From (1, 1) to (−1, −1) it is 1; from (2, ½) to (½, 2) (1 − 25/16)²."""
    problems = {
        "run-spawn0-o1": product(1.0, 1.0),
        "run-spawn0-o2": product(-1.0, -1.0),
        "run-spawn3-o1": product(2.0, 0.5),
        "run-spawn3-o2": product(0.5, 2.0),
        "run-spawn9-o1": product(1.0, 1.0),
        "run-spawn9-o2": product(1.0, 1.0),
        "run": product(1.0, 1.0),
    }
    ds = landscape.spawn_barriers(problems, steps=21)
    assert ds["step"].values.tolist() == [0.0, 3.0, 9.0]
    found = ds.isel(split=0).sel(quantity="loss")["barrier_mean"].values
    np.testing.assert_allclose(found, [1.0, (1 - 25 / 16) ** 2, 0.0], atol=1e-12)
    np.testing.assert_allclose(ds["distance"], [8**0.5, 4.5**0.5, 0.0], atol=1e-12)
    assert [figure.name for figure in plots({"run": ds})] == ["loss"]  # no classes, no errors
    metrics = {m.name: m.value for m in landscape.spawn_barriers.summary(ds)}
    assert metrics["loss barrier, earliest"] == pytest.approx(1.0)
    assert metrics["loss barrier, latest"] == pytest.approx(0.0, abs=1e-12)


def test_children_joined_from_a_step_on():
    """Oracle: examples of two classes that one unit tells apart: one child turned round is wrong halfway."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(60, 2, generator=g).double()
    y = (x[:, 0] > 0).long()

    def net(sign):
        model = nn.Sequential(nn.Linear(2, 1, bias=False), nn.Tanh(), nn.Linear(1, 2, bias=False)).double()
        model[0].weight.data = sign * torch.tensor([[3.0, 0.0]]).double()
        model[2].weight.data = sign * torch.tensor([[-4.0], [4.0]]).double()
        return Problem(model, "cross_entropy", (x, y))

    problems = {f"a-spawn{step}-{k}": net(1.0 if step or k else -1.0) for step in (0, 2, 5) for k in range(2)}
    ds = landscape.spawn_barriers(problems, test_data=(x, y))
    metrics = {m.name: m.value for m in landscape.spawn_barriers.summary(ds)}
    assert metrics["joined from"] == 2.0
    at = ds.sel(split="test", quantity="error")
    assert float(at["barrier_mean"][0]) > 30 and float(at["barrier_mean"][1]) == 0.0
    error, loss = plots({"a": ds})
    assert (error.name, loss.name) == ("error", "loss") and error.leads


def test_siblings_by_name():
    """Oracle: by hand: other parents and single children make no pair."""
    names = ["a-spawn0-1", "a-spawn0-2", "b-spawn0-1", "a-spawn10-1", "a-spawn10-2", "a-spawn2-x", "a"]
    pattern = r"^(.*)spawn(\d+)"
    expected = [(0, "a-spawn0-1", "a-spawn0-2"), (10, "a-spawn10-1", "a-spawn10-2")]
    assert siblings(names, pattern) == expected
    assert len(siblings(["x1", "x1b", "x1c"], r"x(\d)")) == 3
    for wrong, words in (("(", "no regular expression"), ("x", "no group"), (r"k(\d+)", "no two models")):
        with pytest.raises(InputError, match=words):
            siblings(names, wrong)
