"""Keys: wrappers put in and taken out, prefixes found, and what is obsolete told from weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from landscape.errors import CheckpointError
from landscape.zoo.fitting.keys import (
    best_prefix,
    chosen_keys,
    obsolete,
    prefix_hint,
    unwrapped,
    with_tied,
    without_best_prefix,
)


def test_wrappers_of_parts():
    """Oracle: names by hand, as torch.compile, DataParallel and FSDP make them."""
    own = ["stem.0.weight", "head.weight"]
    for wrapper in ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"):
        assert list(unwrapped(own, {f"stem.{wrapper}.0.weight": 1, "head.weight": 2})) == own
        assert list(unwrapped([f"{wrapper}.{k}" for k in own], dict.fromkeys(own))) == [
            f"{wrapper}.{k}" for k in own
        ]
    # two names that would become one stay two
    twice = {"module.head.weight": 1, "_orig_mod.head.weight": 2}
    assert unwrapped(own, twice) == twice


def test_globs_and_prefixes_choose_keys():
    state = {"net.w": 1, "net.position_ids": 2, "loss.w": 3}
    assert chosen_keys(state, "net.", ["*.position_ids"], "x") == {"w": 1}
    assert chosen_keys(state, "", ["loss.*"], "x") == {"net.w": 1, "net.position_ids": 2}
    with pytest.raises(CheckpointError, match=r"no keys that begin with 'ema\.'"):
        chosen_keys(state, "ema.", [], "x")


def test_prefixes():
    assert best_prefix(["w", "b"], ["net.w", "net.b", "loss.w"]) == ("net.", 2)
    assert without_best_prefix(["w"], {"net.w": 1}) == {"w": 1}
    assert without_best_prefix(["w"], {"net.w": 1, "v": 2}) == {"net.w": 1, "v": 2}
    assert 'prefix = "net."' in prefix_hint({"w": 0}, {"net.w": 1, "v": 2})


def test_tied_weights_are_filled_in():
    """Oracle: the tie made here."""
    model = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2)})
    model["b"].weight = model["a"].weight
    given = {k: v for k, v in model.state_dict().items() if k != "b.weight"}
    assert set(with_tied(model.state_dict(), given)) == set(model.state_dict())


def test_what_is_obsolete():
    """Oracle: each key is a buffer or a weight by construction."""
    model = nn.Sequential(nn.Linear(2, 2))
    model[0].register_buffer("mask", torch.ones(2), persistent=False)
    gone = {"0.mask": torch.ones(2), "0.position_ids": torch.arange(3), "0.total_ops": torch.zeros(1)}
    stay = {"0.extra": torch.ones(2), "1.position_ids": torch.arange(3), "0.weight": torch.zeros(2, 2)}
    assert obsolete(model, gone | stay) == list(gone)
