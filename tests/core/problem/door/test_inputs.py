"""Inputs: a form with one reading gives the numbers of the plain tensors; one with two is asked back."""

from __future__ import annotations

from collections import OrderedDict, UserDict
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import nn

import landscape
from landscape import Problem
from landscape.errors import InputError

DRAW = torch.Generator().manual_seed(0)
X, Y = torch.randn(20, 3, generator=DRAW), torch.randint(2, (20,), generator=DRAW)


class Encoding(UserDict):
    """A mapping with its entries as attributes, as tokenisers return."""

    def __getattr__(self, name):
        if name == "data":
            raise AttributeError(name)
        return self.data[name]


class Frozen(Mapping):
    """A mapping that takes no new entries."""

    def __init__(self, **entries):
        self._entries = entries

    def __getitem__(self, key):
        return self._entries[key]

    def __iter__(self):
        return iter(self._entries)

    def __len__(self):
        return len(self._entries)


class OfMapping(nn.Module):
    """A model that takes the batch as its one argument."""

    def __init__(self, by_attribute=False):
        super().__init__()
        self.linear, self.by_attribute = nn.Linear(3, 2), by_attribute

    def forward(self, batch):
        return self.linear(batch.image if self.by_attribute else batch["image"])


def plain(kind=nn.Linear):
    torch.manual_seed(1)
    return kind(3, 2)


def of_mapping(by_attribute=False):
    torch.manual_seed(1)
    return OfMapping(by_attribute)


FORMS = {
    "float64": (plain, (X.double(), Y), "inputs float64 -> float32"),
    "float64 array": (plain, (X.numpy().astype(np.float64), Y.numpy()), "inputs float64 -> float32"),
    "float16": (plain, (X.half(), Y), "inputs float16 -> float32"),
    "mapping": (of_mapping, {"image": X, "label": Y}, "mapping given to the model"),
    "mapping of another class": (of_mapping, [UserDict(image=X, label=Y)], "mapping given to the model"),
    "ordered": (of_mapping, [OrderedDict(image=X, label=Y)], "mapping given to the model"),
    "frozen mapping": (of_mapping, [Frozen(image=X, label=Y)], "mapping given to the model"),
    "mapping of arrays": (of_mapping, [UserDict(image=X.numpy(), label=Y.numpy())], "mapping given"),
    "by attribute": (lambda: of_mapping(True), [Encoding(image=X, label=Y)], "mapping given to the model"),
    "float64 mapping": (of_mapping, [{"image": X.double(), "label": Y}], "float64 -> float32; mapping given"),
    "one entry": (plain, [{"image": X, "label": Y}], "'image' given to the model as its one argument"),
    "names beside": (plain, [{"input": X, "label": Y, "path": ["a"] * 20}], "entries left out: path"),
}


@pytest.mark.parametrize("form", FORMS)
def test_one_reading_is_taken_and_recorded(form):
    """Oracle: torch's cross-entropy of the plain tensors, rounded as the form rounds them."""
    model, data, said = FORMS[form]
    made = plain()
    x = X.half().float() if form == "float16" else X
    expected = nn.functional.cross_entropy(made(x), Y)
    gradient = torch.autograd.grad(expected, list(made.parameters()))
    problem = Problem(model(), "cross_entropy", data)
    assert problem.loss() == pytest.approx(expected.item(), rel=1e-6)
    assert problem.provenance()["converted"].find(said) >= 0
    torch.testing.assert_close(problem.gradient(), torch.cat([g.reshape(-1) for g in gradient]))
    assert problem.on_sample(10).examples == 10


def test_what_the_model_takes_stays_as_it_is():
    """Oracle: a model that casts by itself keeps float64 and whole numbers, and nothing is recorded."""

    class Casting(nn.Linear):
        def forward(self, input):
            self.seen = input.dtype
            return super().forward(input.to(self.weight.dtype) / 2)

    for x in (X.double(), (X * 10).long(), (X.abs() * 10).byte()):
        problem = Problem(Casting(3, 2), "cross_entropy", (x, Y))
        assert problem.first.inputs.dtype == x.dtype
        assert "converted" not in problem.provenance()


def test_a_mask_of_truth_values_stays_one_beside_inputs_that_are_cast():
    """Oracle: the model refuses a mask of floats."""

    class Masked(nn.Linear):
        def forward(self, input, mask):
            assert mask.dtype == torch.bool
            return super().forward(input) * mask

    mask = torch.ones(20, 1, dtype=torch.bool)
    problem = Problem(Masked(3, 2), "cross_entropy", (X.double(), mask, Y))
    assert problem.provenance()["converted"] == "inputs float64 -> float32"
    assert Problem(plain(), "cross_entropy", (X > 0, Y)).provenance()["converted"] == "inputs bool -> float32"


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (((X.abs() * 9).byte(), Y), r"uint8 of 0 to \d+, .* inputs.float\(\) for values of 0 to 255 or"),
        (((X * 10).long(), Y), r"inputs are int64, and Linear takes float32: give inputs.float\(\)"),
        (
            [{"image": X, "other": X, "label": Y}],
            r"mappings with 'image', 'other', and Linear takes \(input\)",
        ),
        ([{"input": X, "mask": Y}], "none is a target: labels, label"),
        ((X[:, :2], Y), "a layer takes 3 features and is given 2"),
        ((X, X, Y), r"its forward takes \(input\)"),
        (((X,), Y), None),
    ],
)
def test_two_readings_are_asked_back(data, sentence):
    """Oracle: the sentence says what to do, and not what torch said."""
    if sentence is None:
        assert Problem(plain(), "cross_entropy", data).examples == 20
        return
    with pytest.raises(InputError, match=sentence) as raised:
        Problem(plain(), "cross_entropy", data)
    assert "Error" not in str(raised.value)


def test_images_of_the_wrong_form():
    """Oracle: the numbers of channels."""
    images = torch.rand(4, 3, 8, 8)
    with pytest.raises(InputError, match=r"takes 1 channels and is given 3: give images \(B, 1, H, W\)"):
        Problem(nn.Conv2d(1, 2, 3), "mse", (images, torch.zeros(4, 2, 6, 6)))


def test_held_out_data_are_read_as_the_problem_s_own():
    """Oracle: the same examples as training data and as held-out data give the same loss."""
    data = (X.double(), Y.int()[:, None])
    problem = Problem(plain(), "cross_entropy", data)
    ends = plain().state_dict(), {n: t + 1 for n, t in plain().state_dict().items()}
    found = landscape.connect(problem, *ends, method="linear", steps=3, resamples=100, test_data=data)
    own, held_out = (found["loss"].isel(split=i).values for i in range(2))
    assert held_out == pytest.approx(own, rel=1e-6)
