"""Results on shared axes: their labels, and what cannot be compared."""

from __future__ import annotations

import pytest
import torch

import landscape
from landscape import Problem
from landscape.errors import InputError
from landscape.plotting.comparison import compare


def spectrum(seed: int, **attrs: str):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(8, 3, generator=generator)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = torch.nn.Linear(3, 2)
    return landscape.spectrum(Problem(model, "mse", (x, x[:, :2])), k=2).assign_attrs(attrs)


def names(figure) -> list[str]:
    return [t.name for t in figure.data if t.showlegend]


def test_results_are_called_by_their_model_or_number() -> None:
    """Oracle: labels by hand: a model's name, a number, and both where two have one name."""
    one, two, three = spectrum(0, model="a"), spectrum(1, model="a"), spectrum(2)
    assert names(compare([one, three], figure="eigenvalues")) == ["a", "result 2"]
    assert names(compare([one, two], figure="eigenvalues")) == ["a (1)", "a (2)"]
    assert names(compare({"x": one, "y": two}, figure="eigenvalues")) == ["x", "y"]


def test_what_cannot_be_compared_is_refused() -> None:
    """Oracle: the sentences."""
    with pytest.raises(InputError, match="nothing to compare"):
        compare({})
    other = spectrum(0).assign_attrs(analysis="trace")
    with pytest.raises(InputError):
        compare([spectrum(0), other])
