"""REPAIR's pieces: goals by hand, and outputs that have them."""

from __future__ import annotations

import numpy as np
import torch
from cases import snapshot, vectors
from torch import nn

from landscape import Problem
from landscape.core.connectivity.repair import Goal, goals_between, output_goals, repaired


def problem_of(batch_size):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).double()
    return Problem(model, "cross_entropy", vectors(30), batch_size=batch_size)


def test_goals_are_the_moments_of_all_outputs_but_the_last():
    """Oracle: NumPy on the layer's outputs over all data at once, whose batches are uneven."""
    problem = problem_of(7)
    hidden = problem.module[0](vectors(30)[0]).detach().numpy()
    goals = output_goals(problem)
    assert list(goals) == ["0"]
    np.testing.assert_allclose(goals["0"].mean, hidden.mean(0), rtol=1e-12)
    np.testing.assert_allclose(goals["0"].deviation, hidden.std(0), rtol=1e-12)


def test_goals_between_two_models():
    """Oracle: equations 1 and 2 of Jordan et al. (2023) by hand."""
    a, b = (Goal(torch.tensor([m]), torch.tensor([s])) for m, s in ((1.0, 2.0), (3.0, 6.0)))
    (found,) = goals_between({"layer": a}, {"layer": b, "only in b": b}, 0.25).values()
    assert (found.mean.tolist(), found.deviation.tolist()) == ([1.5], [3.0])


def test_repaired_outputs_have_the_goals_and_nothing_stays():
    """Oracle: NumPy on the outputs within; bits and hooks of the model afterwards."""
    problem = problem_of(30)
    before = snapshot(problem.module)
    goal = Goal(torch.full((6,), 0.5, dtype=torch.float64), torch.full((6,), 2.0, dtype=torch.float64))
    with repaired(problem, {"0": goal}):
        hidden = problem.module[0](vectors(30)[0]).detach().numpy()
    np.testing.assert_allclose(hidden.mean(0), 0.5, rtol=1e-10)
    np.testing.assert_allclose(hidden.std(0), 2.0, rtol=1e-10)
    assert snapshot(problem.module) == before
