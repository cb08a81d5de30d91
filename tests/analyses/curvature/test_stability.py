"""``stability`` on a problem whose sharpness, limits and sharpening are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import CASES
from torch import nn

import landscape
from landscape.base.analysis import Context
from landscape.base.figure import Line


class Product(nn.Module):
    """L = ½(ab − 1)² by half the squared error."""

    def __init__(self, a):
        super().__init__()
        self.theta = nn.Parameter(torch.tensor([a, a], dtype=torch.float64))

    def forward(self, x):
        return x * self.theta.prod()


def product(a):
    return landscape.Problem(Product(a), "half_squared_error", (torch.ones(1, 1).double(),) * 2)


def test_two_numbers_multiplied():
    """Oracle: closed form (Damian et al. 2023): λ = 3a² − 1, rate −6a²(a² − 1); limits by hand."""
    values = {20: 1.4, 3: 1.1}  # in whatever order
    ds = landscape.stability({step: product(a) for step, a in values.items()}, learning_rate=0.4)
    a = np.array([1.1, 1.4])
    assert ds["at"].values.tolist() == [3.0, 20.0] and str(ds["progress"].item()) == "step"
    assert ds["checkpoint"].values.tolist() == ["3", "20"]
    np.testing.assert_allclose(ds["sharpness"], 3 * a**2 - 1, rtol=1e-9)
    np.testing.assert_allclose(ds["limit"], 5.0)
    np.testing.assert_allclose(ds["ratio"], (3 * a**2 - 1) / 5, rtol=1e-9)
    np.testing.assert_allclose(ds["sharpening_rate"], -6 * a**2 * (a**2 - 1), rtol=1e-6)
    assert (ds["sharpening_rate_error"] < 1e-5).all()


def run(make, steps=(0, 2, 5)):
    """Checkpoints of a training: problems and states of the optimiser, by step."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    data = torch.randn(12, 4).double(), torch.arange(12) % 3
    optimiser = make(model.parameters())
    problems, states = {}, {}
    for step in range(max(steps) + 1):
        if step in steps:
            problems[step] = landscape.Problem(model, "cross_entropy", data)
            kept = optimiser.state_dict()
            states[step] = {
                **kept,
                "state": {k: {n: torch.clone(v) for n, v in e.items()} for k, e in kept["state"].items()},
            }
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(data[0]), data[1]).backward()
        optimiser.step()
    return problems, states


def test_adam_by_its_state():
    """Oracle: NumPy on the dense Hessian and on P by hand; AdamW's decay is left out of H."""
    problems, states = run(lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1))
    ds = landscape.stability(problems, training=states)
    assert np.isnan(ds["preconditioned"][0]) and "has made no step" in str(ds["notice"].item())
    for i, step in ((1, 2), (2, 5)):
        v = np.concatenate([states[step]["state"][k]["exp_avg_sq"].reshape(-1) for k in range(4)])
        P = (1 - 0.9**step) * (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
        H = landscape.hessian(problems[step]).dense().numpy()
        exact = np.linalg.eigvalsh(H / np.sqrt(P[:, None] * P))[-1]
        assert float(ds["preconditioned"][i]) == pytest.approx(exact, rel=1e-6)
        assert float(ds["sharpness"][i]) == pytest.approx(np.linalg.eigvalsh(H)[-1], rel=1e-6)
    np.testing.assert_allclose(ds["limit"], 38 / 0.01)
    assert ds["steps"].values.tolist() == [0, 2, 5]
    assert {f.name for f in landscape.stability.plots({"run": ds})} == {
        "sharpness",
        "preconditioned",
        "sharpening",
    }


def test_momentum_has_its_limit_and_its_line():
    """Oracle: 2(1 + β)/η; the dashed line of the picture."""
    problems, states = run(lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9), (0, 3))
    ds = landscape.stability(problems, training=states, sharpening=False)
    np.testing.assert_allclose(ds["limit"], 38.0)
    assert np.isnan(ds["sharpening_rate"]).all()
    (figure,) = landscape.stability.plots({"run": ds})
    (line,) = [m for m in figure.marks if isinstance(m, Line) and m.style == "dash"]
    np.testing.assert_allclose(line.y, 38.0)


def test_what_is_not_known_is_told():
    """Oracle: the words of the notices; one bad state costs one limit."""
    problems, states = run(lambda p: torch.optim.NAdam(p, lr=0.1), (0, 2))
    ds = landscape.stability(problems, training=states, sharpening=False)
    assert np.isnan(ds["limit"]).all() and (ds["optimiser"] == "").all()
    assert str(ds["notice"].item()).startswith("all checkpoints: the optimiser's state is of no SGD")
    ds = landscape.stability(problems, sharpening=False)
    assert "no optimiser was saved" in str(ds["notice"].item())
    assert landscape.stability.plots({"run": ds})
    broken = product(1e200)
    ds = landscape.stability({0: product(1.2), 1: broken}, learning_rate=0.1)
    assert np.isnan(ds["sharpness"][1]) and ds["sharpness"][0] > 0
    assert "the loss is not finite" in str(ds["notice"].item())


class Stopped(BaseException):
    """What ends a run in a test."""


def test_a_run_that_is_killed_keeps_its_checkpoints(tmp_path):
    """Oracle: an uninterrupted run; the checkpoint that is done is not computed anew."""
    problems = {i: CASES["mlp"].problem() for i in range(2)}
    params = landscape.stability.validate({"learning_rate": 0.1})

    def stop(fraction):
        raise Stopped

    with pytest.raises(Stopped):
        landscape.stability.run(problems, params, Context(stop, tmp_path / "pieces"))
    seen = []
    problems[0].gradient = lambda *_: seen.append(0)  # would fail if it were asked
    found = landscape.stability.run(problems, params, Context(partial=tmp_path / "pieces"))
    whole = landscape.stability({i: CASES["mlp"].problem() for i in range(2)}, learning_rate=0.1)
    np.testing.assert_array_equal(found["sharpening_rate"], whole["sharpening_rate"])
    assert not seen
