"""Results on shared axes: their labels, and what cannot be compared."""

from __future__ import annotations

import numpy as np
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


def test_compare_draws_results_on_the_same_axes(make: dict) -> None:
    """Oracle: one curve per result, called by its model or numbered where that is not enough."""
    results = [make["line"]("resnet-s0"), make["line"]("vit-s0")]
    figure = landscape.compare(results, figure="loss")
    assert {t.name for t in figure.data if t.showlegend} == {"resnet-s0", "vit-s0"}
    twice = landscape.compare([results[0], results[0]], figure="loss")
    assert {t.name for t in twice.data if t.showlegend} == {"resnet-s0 (1)", "resnet-s0 (2)"}
    with pytest.raises(InputError, match="nothing to compare"):
        landscape.compare([])
    with pytest.raises(InputError, match="no figure compares"):
        landscape.compare({"a": results[0], "b": make["spectrum"]("vit-s0")})
    assert (
        np.asarray(landscape.compare({"mine": results[0]}, "matplotlib", "loss").get_size_inches()).min() > 1
    )
