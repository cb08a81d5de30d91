"""States as vectors and as mappings, and what of a model is not among the parameters."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from landscape import Problem
from landscape.core.problem.states import (
    as_vector,
    differing_rest,
    direction_seed,
    full_state,
    rest_of_state,
)
from landscape.errors import InputError


@pytest.fixture
def problem():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    x = torch.randn(6, 2, generator=torch.Generator().manual_seed(0))
    return Problem(model, "cross_entropy", (x, torch.arange(6) % 2), parameters="0.*")


def test_a_mapping_and_a_vector_are_one_point(problem):
    """Oracle: torch's own flattening in the order of the parameters."""
    state = {
        name: torch.randn_like(t) for name, t in problem.module.state_dict().items() if t.is_floating_point()
    }
    expected = torch.cat([state["0.weight"].reshape(-1), state["0.bias"]])
    assert torch.equal(as_vector(problem, state), expected)
    assert torch.equal(as_vector(problem, expected.numpy()), expected)
    assert torch.equal(full_state(problem, expected)["0.bias"], state["0.bias"])


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (torch.zeros(3), r"a start has shape \(3,\), not \(9,\)"),
        (torch.full((9,), torch.nan), "a start holds NaN"),
        ("weights", r"a start is a str; give a state_dict or a flat vector \(9,\)"),
        ({"0.weight": torch.zeros(3, 2)}, "a start does not fit: the state lacks parameter '0.bias'"),
    ],
)
def test_what_is_no_point_is_named(problem, state, sentence):
    """Oracle: each sentence says what is wrong and what would fit."""
    with pytest.raises(InputError, match=sentence):
        as_vector(problem, state, "a start")


def test_the_rest_of_a_state_is_lent(problem):
    """Oracle: buffers and unchosen parameters read within and after, also after an error."""
    own = {name: t.clone() for name, t in problem.module.state_dict().items()}
    other = {name: torch.ones_like(t) for name, t in own.items()}
    with pytest.raises(ZeroDivisionError), rest_of_state(problem, other):
        held = problem.module.state_dict()
        assert torch.equal(held["1.running_mean"], other["1.running_mean"])
        assert torch.equal(held["2.weight"], other["2.weight"])
        assert torch.equal(held["0.weight"], own["0.weight"])
        raise ZeroDivisionError
    assert all(torch.equal(t, own[name]) for name, t in problem.module.state_dict().items())


def test_parameters_left_out_that_differ_are_named(problem):
    """Oracle: one entry changed by hand; chosen parameters and buffers do not count."""
    a = {name: t.clone() for name, t in problem.module.state_dict().items()}
    b = {name: t.clone() for name, t in a.items()}
    b["0.weight"] += 1
    b["1.running_mean"] += 1
    assert differing_rest(problem, a, b) is None
    b["2.bias"][0] += 1
    assert differing_rest(problem, a, b) == "2.bias"


def test_the_first_direction_keeps_the_seed_and_others_have_their_own():
    """Oracle: distinct numbers, the same each time."""
    seeds = [direction_seed(5, i) for i in range(4)]
    assert seeds[0] == 5 and len(set(seeds)) == 4
    assert seeds == [direction_seed(5, i) for i in range(4)]
