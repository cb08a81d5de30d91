"""At rest: what is copied of a model that others watch and wrap."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from landscape.callbacks.at_rest import at_rest, own_module
from landscape.errors import InputError


def test_hooks_of_others_are_set_aside_and_torchs_own_stay():
    """Oracle: the output of the model itself, whose weight is made by a hook of torch's."""
    model = nn.Sequential(nn.utils.spectral_norm(nn.Linear(2, 3)), nn.Tanh()).eval()
    seen: list[str] = []
    model[0].register_forward_hook(lambda *_: seen.append("after"))
    model.register_forward_pre_hook(lambda *_: seen.append("before"))
    model[1].register_full_backward_hook(lambda *_: seen.append("backward"))
    x = torch.ones(1, 2)
    with at_rest(model):
        private = copy.deepcopy(model)
    expected = model(x)
    expected.sum().backward()
    assert sorted(seen) == ["after", "backward", "before"]
    assert torch.equal(private(x), expected)
    private(x).sum().backward()
    assert len(seen) == 3


def test_a_forward_pass_put_in_place_of_the_models_own_is_set_aside():
    """Oracle: the class' own forward pass, where the other one is another function."""
    model = nn.Linear(2, 2)
    model._original_forward, model.forward = model.forward, lambda x: x
    with at_rest(model):
        private = copy.deepcopy(model)
    x = torch.ones(1, 2)
    assert torch.equal(private(x), nn.functional.linear(x, model.weight, model.bias))
    assert torch.equal(model(x), x)


def test_the_module_within_what_wraps_it():
    inner = nn.Linear(2, 2)
    assert own_module(nn.DataParallel(inner)) is inner
    compiled = nn.Module()
    compiled._orig_mod = inner  # as torch.compile wraps it
    assert own_module(compiled) is inner
    with pytest.raises(InputError, match=r"takes a torch\.nn\.Module; got a str"):
        own_module("model")

    class DTensor(nn.Parameter):
        pass

    inner.weight = DTensor(torch.ones(2, 2))
    with pytest.raises(InputError, match="lie in parts in several processes"):
        own_module(inner)
