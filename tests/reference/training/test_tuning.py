import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from landscape.errors import InputError
from landscape.reference.training import tune


def data():
    draw = torch.Generator().manual_seed(1)
    return torch.randn(10, 4, generator=draw), torch.arange(10) % 3


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.2), nn.Linear(6, 3))


def test_a_step_is_that_of_adamw_on_the_cosine():
    """Oracle: the loop written out with torch's own optimiser, not fused, and the cosine by hand."""
    (x, y), model = data(), nn.Linear(4, 3)
    tuned = tune(model, (x, y), epochs=2, lr=0.1, batch_size=6, seed=5)
    other = nn.Linear(4, 3)
    other.load_state_dict(model.state_dict())
    solver = torch.optim.AdamW(other.parameters(), weight_decay=0.0)
    draw = torch.Generator().manual_seed(5)
    for epoch in range(2):
        for index, rows in enumerate(torch.randperm(10, generator=draw).split(6)):
            solver.param_groups[0]["lr"] = 0.1 * (1 + math.cos(math.pi * (epoch + index / 2) / 2)) / 2
            solver.zero_grad()
            functional.cross_entropy(other(x[rows]), y[rows]).backward()
            solver.step()
    torch.testing.assert_close(tuned.weight, other.weight)


def test_the_model_and_the_random_numbers_of_the_caller_stay():
    """Oracle: both before, and the same bits of a second call."""
    model = net()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(3)
    state = torch.get_rng_state()
    one = tune(model, data(), epochs=2)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert model.training and not one.training
    torch.manual_seed(4)
    two = tune(model, data(), epochs=2)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_no_epochs_copy_and_each_step_is_told():
    """Oracle: the model; two batches in each of three epochs."""
    model, steps = net(), []
    same = tune(model, data(), epochs=0)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), same.parameters(), strict=True))
    tune(model, data(), epochs=3, batch_size=5, after_step=steps.append)
    assert len(steps) == 6


def test_what_cannot_be_tuned_is_refused():
    """Oracle: the sentences."""
    with pytest.raises(InputError, match="epochs are at least 0"):
        tune(net(), data(), epochs=-1)
    x, y = data()
    with pytest.raises(InputError, match="the loss is nan in epoch 1; lower lr"):
        tune(net(), (x * float("nan"), y))


def test_data_and_models_that_cannot_be_trained_are_refused():
    """Oracle: the sentences; fewer labels than inputs would else leave inputs out without a word."""
    inputs, labels = data()
    for bad in ((inputs, labels[:2]), (inputs[:0], labels[:0])):
        with pytest.raises(InputError, match="as many inputs as labels"):
            tune(net(), bad)
    for model in (net().requires_grad_(False), nn.Flatten()):
        with pytest.raises(InputError, match="has no parameter to train"):
            tune(model, (inputs, labels))
