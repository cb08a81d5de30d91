"""Forms of data: the same examples in every form give the same loss; what has no end or two readings."""

from __future__ import annotations

import itertools
from collections import namedtuple
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.utils.data import Dataset, IterableDataset

from landscape import Problem
from landscape.core.data import batches as room
from landscape.core.data.data_forms import changes_when_read
from landscape.errors import InputError

torch.manual_seed(0)
X, Y = torch.randn(20, 3), torch.randint(2, (20,))
Named = namedtuple("Named", "x y")


@dataclass
class Record:
    x: torch.Tensor
    y: torch.Tensor


class Plain:
    """A graph or the like: tensors as attributes."""

    def __init__(self):
        self.x, self.y, self.count = X, Y, 20


class NoLength(Dataset):
    def __getitem__(self, index):
        return X[index], Y[index]


class Duck:
    def __len__(self):
        return 20

    def __getitem__(self, index):
        return X[index], int(Y[index])


class Stream(IterableDataset):
    def __init__(self, repeats=1):
        self.repeats = repeats

    def __iter__(self):
        for _ in itertools.repeat(None, self.repeats):
            yield from zip(X, Y, strict=True)


def by_name(model, batch):
    return model(batch.x), batch.y


FORMS = {
    "arrays": ((X.numpy(), Y.numpy()), None),
    "tensor and array": ((X, Y.numpy()), None),
    "batches of arrays": ([(X[:7].numpy(), Y[:7].numpy()), (X[7:].numpy(), Y[7:].numpy())], None),
    "dataset without a length": (NoLength(), None),
    "duck": (Duck(), None),
    "stream": (Stream(), None),
    "dataclass": ([Record(X, Y)], by_name),
    "dataclass of arrays": ([Record(X.numpy(), Y.numpy())], by_name),
    "object": ([Plain()], by_name),
    "named tuple": ([Named(X, Y)], by_name),
    "named set": (Named(X, Y), by_name),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_loss_of_the_tensors(form):
    """Oracle: torch's cross-entropy of all examples."""
    data, forward = FORMS[form]
    torch.manual_seed(1)
    model = nn.Linear(3, 2)
    problem = Problem(model, "cross_entropy", data, forward=forward, batch_size=6)
    assert problem.examples == 20
    expected = nn.functional.cross_entropy(model(X).double(), Y).item()
    assert problem.loss() == pytest.approx(expected, rel=1e-6)


def test_data_without_an_end_are_refused(monkeypatch):
    """Oracle: three rounds of the data are more than the cap, and a list of them knows its length."""
    monkeypatch.setattr(room, "ENDLESS", 50)
    with pytest.raises(InputError, match=r"does not end: .* list\(itertools.islice\(loader, 100\)\)"):
        Problem(nn.Linear(3, 2), "cross_entropy", Stream(10**9), batch_size=8)
    some = list(itertools.islice(torch.utils.data.DataLoader(Stream(10**9), batch_size=10), 8))
    assert Problem(nn.Linear(3, 2), "cross_entropy", some).examples == 80


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ([X, Y], r"tuple \(inputs, targets\)"),
        ([(x, y) for x, y in zip(X, Y, strict=True)], "examples rather than batches"),
        ([(x, int(y)) for x, y in zip(X, Y, strict=True)], "DataLoader"),
        (X.numpy(), "single tensor"),
    ],
)
def test_what_has_two_readings_is_asked_back(data, sentence):
    """Oracle: the sentence names the cure."""
    with pytest.raises(InputError, match=sentence):
        Problem(nn.Linear(3, 2), "cross_entropy", data)


def test_reading_tells_how_far_it_is():
    """Oracle: sums of the batches' sizes."""
    seen = []
    room.read_batches((X, Y), batch_size=8, device=torch.device("cpu"), dtype=None, progress=seen.append)
    assert seen == [8, 16, 20]


def test_endless_data_end_before_memory_does(monkeypatch):
    """Oracle: 20 rows of 3 float32 and a label of 8 bytes each, against a free memory of 600 bytes."""
    monkeypatch.setattr(room, "free_memory", lambda: 600)
    with pytest.raises(InputError, match="does not end: 16 examples"):
        Problem(nn.Linear(3, 2), "cross_entropy", Stream(10**9), batch_size=8)
    assert Problem(nn.Linear(3, 2), "cross_entropy", (X, Y), batch_size=8).examples == 20


class Noisy(NoLength):
    """Random augmentation."""

    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        return x + torch.randn(3), y


def test_examples_that_change_when_they_are_read_are_told():
    """Oracle: noise of a new draw, in this process and in a worker; a shuffled order changes no example."""
    loader = torch.utils.data.DataLoader
    fixed = torch.utils.data.TensorDataset(X, Y)
    assert changes_when_read(Noisy())
    assert changes_when_read(loader(Noisy(), batch_size=4, sampler=range(8), num_workers=1))
    for data in (fixed, loader(fixed, shuffle=True), (X, Y), [(X, Y)], Stream(), NoLength()):
        assert not changes_when_read(data)
