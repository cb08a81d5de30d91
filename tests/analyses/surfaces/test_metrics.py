"""Metrics of the user's along lines and over planes.

Oracle of the values: a linear model, whose outputs at any point are written down by hand from the inputs.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import landscape
from landscape import Problem
from landscape.errors import InputError

HERE = "tests.analyses.surfaces.test_metrics"
X = torch.tensor([[1.0, 2.0], [-1.0, 0.5], [3.0, -2.0], [0.5, 0.25], [2.0, 1.0]], dtype=torch.float64)


def output(z, y):
    """The output itself."""
    return z[:, 0]


def far(z, y):
    """Whether the answer is off by more than 1."""
    return ((z - y).abs() > 1.0)[:, 0].float()


def scalar(z, y):
    return z.mean()


def broken(z, y):
    return z[:, 7]


def problem(batch_size=2):
    model = nn.Linear(2, 1, bias=False).double()
    model.weight = nn.Parameter(torch.tensor([[0.5, -1.0]], dtype=torch.float64))
    return Problem(model, "mse", (X, X[:, :1] * 0.3), batch_size=batch_size)


def by_hand(a, b):
    """Means and errors of both metrics at the weights (0.5 + a, −1 + b)."""
    x = X.numpy()
    z = x @ np.array([0.5 + a, -1.0 + b])
    wrong = np.abs(z - 0.3 * x[:, 0]) > 1.0
    return [(v.mean(), v.std(ddof=1) / np.sqrt(5)) for v in (z, wrong.astype(float))]


def test_along_a_line():
    """Oracle: `by_hand`."""
    found = landscape.line(
        problem(),
        vector=torch.tensor([1.0, 0.5], dtype=torch.float64),
        steps=5,
        metrics=[f"{HERE}:output", f"{HERE}:far"],
    )
    assert found["metric"].values.tolist() == [f"{HERE}:output", f"{HERE}:far"]
    for i, alpha in enumerate(found["alpha"].values):
        expected = np.array(by_hand(alpha, alpha / 2))
        np.testing.assert_allclose(found["metric_value"][i], expected[:, 0], rtol=1e-12)
        np.testing.assert_allclose(found["metric_se"][i], expected[:, 1], rtol=1e-12)
    np.testing.assert_allclose(found["center_metric"], np.array(by_hand(0, 0))[:, 0], rtol=1e-12)


def test_over_several_directions():
    """Oracle: the mean over directions of single lines, and the error of each example's own mean."""
    options = {"count": 3, "steps": 3, "ignore": (), "normalization": "none"}
    found = landscape.line(problem(), metrics=f"{HERE}:output", **options)
    # The output is linear in the weights: the mean over directions is that along their mean.
    vectors = landscape.line(problem(), **options)["loss_by_direction"]
    assert vectors.sizes["direction"] == 3
    from landscape.core.surfaces.plane import random_plane

    plane = random_plane(problem(), "none", count=3, seed=0, ignore=())
    mean = plane.directions.double().mean(0).numpy()
    for i, alpha in enumerate(found["alpha"].values):
        (value, error), _ = by_hand(*(alpha * mean))
        assert float(found["metric_value"][i, 0]) == pytest.approx(value, rel=1e-6)
        assert float(found["metric_se"][i, 0]) == pytest.approx(error, rel=1e-6)


def test_over_a_plane():
    """Oracle: `by_hand`; the figures and numbers are called by the function."""
    vectors = torch.eye(2, dtype=torch.float64)
    found = landscape.surface(
        problem(), directions="given", vectors=vectors, steps=3, metrics=[f"{HERE}:output", f"{HERE}:far"]
    )
    for i, b in enumerate(found["y"].values):
        for j, a in enumerate(found["x"].values):
            np.testing.assert_allclose(found["metric_value"][i, j], np.array(by_hand(a, b))[:, 0], rtol=1e-12)
    names = [figure.name for figure in landscape.analyses.surfaces.surface.surface.plots({"m": found})]
    assert "metric-output" in names and "metric-far" in names
    numbers = {m.name: m for m in landscape.analyses.surfaces.surface.surface.summary(found)}
    assert numbers["output"].value == pytest.approx(by_hand(0, 0)[0][0])
    assert numbers["output: largest change"].finding


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        (f"{HERE}:scalar", r"metric '.*:scalar' returned shape \(\) for 2 examples; return one number"),
        (f"{HERE}:broken", "metric '.*:broken' raised IndexError"),
        (f"{HERE}:nothing", "has no 'nothing'"),
        (f"{HERE}:X", "is a Tensor, not a function"),
        ("nothing", "option 'metrics.0' of analysis 'line' cannot be"),
        ((f"{HERE}:far", f"{HERE}:far"), "two metrics are called 'far'"),
    ],
)
def test_mistakes_are_named(metric, words):
    """One sentence each."""
    with pytest.raises(InputError, match=words):
        landscape.line(problem(), steps=3, metrics=metric)


def test_results_without_metrics_are_as_they_were():
    """Oracle: the options that are part of a result's key."""
    assert "metrics" not in landscape.line(problem(), steps=3).attrs
