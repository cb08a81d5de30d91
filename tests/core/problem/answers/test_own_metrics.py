"""Metrics of the user's, gathered batch by batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from landscape.core.problem.answers.own_metrics import OwnMetrics
from landscape.core.problem.problem import Problem
from landscape.errors import InputError

X = torch.arange(10.0).reshape(5, 2)


def test_batches_are_put_together():
    """Oracle: the functions on all outputs at once, and the error by hand; a pass leaves no trace."""
    model = nn.Linear(2, 1)
    problem = Problem(model, "mse", (X, X[:, :1]), batch_size=2)
    functions = {"sum": lambda z, y: (z + y)[:, 0], "right": lambda z, y: (z > y)[:, 0]}
    found = OwnMetrics(functions)
    with found.watching(problem):
        problem.measure()
    problem.measure()
    with torch.no_grad():
        z = model(X)
    whole = np.stack([(z + X[:, :1])[:, 0].double().numpy(), (z > X[:, :1])[:, 0].double().numpy()])
    np.testing.assert_allclose(found.by_example(), whole, rtol=1e-6)
    named = found.named(per_example=True)
    np.testing.assert_allclose(named["metric_value"], whole.mean(1), rtol=1e-6)
    np.testing.assert_allclose(named["metric_se"], whole.std(1, ddof=1) / 5**0.5, rtol=1e-5, atol=1e-12)
    assert named["metric_examples"].shape == (2, 5)


def test_what_is_no_number_per_example_is_told():
    """Oracle: the words of the sentence."""
    with pytest.raises(InputError, match=r"metric 'f' returned shape \(\) for 2 examples"):
        OwnMetrics({"f": lambda z, y: z.mean()}).watch(X, X, 2)
    with pytest.raises(InputError, match="metric 'f' raised"):
        OwnMetrics({"f": lambda z, y: z.nothing}).watch(X, X, 2)
