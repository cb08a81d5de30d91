"""Arguments of a problem: what is of the wrong type is told by name, before anything is computed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from landscape import Problem
from landscape.core.problem.door.arguments import usable_device, whole_number
from landscape.errors import InputError

X, Y = torch.randn(7, 4, generator=torch.Generator().manual_seed(0)), torch.arange(7) % 3


class Untouched(nn.Linear):
    """A model that must not be run."""

    def forward(self, input):
        raise AssertionError("run before the arguments were checked")


WRONG = [
    ({"batch_size": 2.5}, "batch_size must be a whole number of at least 1; got 2.5"),
    ({"batch_size": "8"}, "batch_size must be a whole number of at least 1; got '8'"),
    ({"batch_size": True}, "batch_size must be a whole number"),
    ({"batch_size": 0}, "at least 1; got 0"),
    ({"weight_decay": "0.1"}, "weight_decay must be a number, such as 5e-4; got '0.1'"),
    ({"weight_decay": None}, "weight_decay must be a number"),
    ({"weight_decay": 1j}, "weight_decay must be a number"),
    ({"weight_decay": float("nan")}, "weight_decay must be finite and not negative; got nan"),
    ({"weight_decay": -1}, "not negative; got -1"),
    ({"device": "quantum"}, "there is no device 'quantum'"),
    ({"device": ""}, "there is no device ''"),
    ({"device": 3.5}, "device must be a name such as 'cpu'"),
    ({"device": "meta"}, "holds no values"),
    ({"device": "cpu:5"}, "there is no device 'cpu:5'"),
    ({"dtype": "float64"}, "dtype must be a real floating type of torch, .* got 'float64'"),
    ({"dtype": torch.int64}, "dtype must be a real floating type"),
    ({"dtype": torch.complex64}, "dtype must be a real floating type"),
    ({"dtype": np.float64}, "dtype must be a real floating type .* got a type"),
    ({"parameters": 3}, "parameters must be a glob .* got 3"),
    ({"parameters": [1]}, "parameters must be a glob .* got a list"),
    ({"forward": "f"}, "forward must be a function; got 'f'"),
    ({"size": 3}, "size must be a function; got 3"),
    ({"sharding": 3}, "sharding must be a Sharding"),
    ({"channels_last": "yes"}, "channels_last must be True or False; got 'yes'"),
    ({"check_derivatives": 1}, "check_derivatives must be True or False; got 1"),
    ({"batchnorm": ["a"]}, "batchnorm must be 'checkpoint' or 'batch'"),
]


@pytest.mark.parametrize(("keywords", "sentence"), WRONG)
def test_what_cannot_be_is_said_before_the_model_is_run(keywords, sentence):
    """Oracle: a model that raises when it is run, and the words."""
    with pytest.raises(InputError, match=sentence):
        Problem(Untouched(4, 3), "cross_entropy", (X, Y), **keywords)


def test_numbers_of_other_libraries_are_numbers():
    """Oracle: the same numbers of Python."""
    model = nn.Linear(4, 3)
    expected = Problem(model, "cross_entropy", (X, Y), weight_decay=0.5, batch_size=3).loss()
    for half, three in ((np.float32(0.5), np.int64(3)), (torch.tensor(0.5), np.uint8(3))):
        found = Problem(model, "cross_entropy", (X, Y), weight_decay=half, batch_size=three)
        assert found.loss() == expected


def test_a_device_that_this_machine_lacks_is_told(monkeypatch):
    """Oracle: torch refuses whatever is put there."""

    def refuse(*args, **kwargs):
        raise AssertionError("Torch not compiled with it. See the manual.")

    monkeypatch.setattr(torch, "zeros", refuse)
    with pytest.raises(
        InputError, match=r"'cuda:3' cannot be used on this machine \(Torch not compiled with it\)"
    ):
        usable_device("cuda:3")


def test_whole_numbers():
    """Oracle: what Python takes for an index, truth values left out."""
    assert whole_number("jobs", np.int32(2)) == 2
    for wrong in (2.0, "2", None, True, 0, -1):
        with pytest.raises(InputError, match="jobs must be a whole number of at least 1"):
            whole_number("jobs", wrong)


class Empty(nn.Module):
    """A parameter without numbers."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(0, 3))

    def forward(self, x):
        return x[:, :3] + self.w.sum()


def test_nothing_to_differentiate_is_said():
    """Oracle: counting; of parameters of which one holds numbers the others may be empty."""
    with pytest.raises(InputError, match=r"hold no number \('w' has shape \(0, 3\)\)"):
        Problem(Empty(), "cross_entropy", (X, Y))
    mixed = nn.Sequential(nn.Linear(4, 3), Empty())
    assert Problem(mixed, "cross_entropy", (X, Y)).size == 15
    with pytest.raises(InputError, match="nothing to differentiate"):
        Problem(mixed, "cross_entropy", (X, Y), parameters="1.*")
