"""Weight sets: found at any depth, called by name, and the likeliest told from an optimiser's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from landscape.errors import CheckpointError
from landscape.zoo.fitting.weight_sets import WeightSet, called, likeliest, sets_within

STATE = {"weight": torch.zeros(2, 3), "bias": torch.ones(2)}


def names(sets):
    return [one.name for one in sets]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (STATE, ""),
        ({"net": STATE, "acc": torch.tensor(91.2)}, "net"),
        ((STATE, {"state": {0: {"exp_avg": torch.zeros(2, 3)}}, "param_groups": []}), "0"),
        ({"job": [{"parts": {"critic": STATE}}]}, "job.0.parts.critic"),
        ({"trainer": {"best": nn.Linear(3, 2)}}, "trainer.best"),
        ({"model": {"state_dict": STATE}, "state_dict": {"a": torch.zeros(1)}}, "state_dict"),
        ({"optimizer": {"x": STATE["bias"], "y": STATE["bias"], "z": STATE["bias"]}, "w": STATE}, "w"),
    ],
)
def test_the_likeliest(content, name):
    """Oracle: where the weights were put by hand."""
    found = likeliest(sets_within(content))
    assert found is not None
    assert found.name == name


def test_what_holds_itself_ends():
    """Oracle: built so; each place is looked at once."""
    content: dict = {"net": STATE}
    content["self"] = [content]
    assert names(sets_within(content)) == ["net"]
    assert likeliest(sets_within({"epoch": 1})) is None


def test_a_name_may_be_path_key_or_word():
    sets = [WeightSet((k,), {}) for k in ("model", "model_ema", "best_model")] + [WeightSet(("a", "b"), {})]
    assert names(called(sets, "model", "x")) == ["model"]
    assert names(called(sets, "ema", "x")) == ["model_ema"]
    assert names(called(sets, "a.b", "x")) == ["a.b"]
    with pytest.raises(
        CheckpointError, match=r"'x' holds no weights called 'swa'; known: a\.b, best_model, "
    ):
        called(sets, "swa", "x")
    with pytest.raises(CheckpointError, match="at the top, under no name"):
        called([WeightSet((), {})], "swa", "x")
