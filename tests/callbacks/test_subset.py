"""Subset: which examples a probe looks at, and how many it reads for them."""

from __future__ import annotations

import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

from landscape.callbacks.subset import read_subset
from landscape.core.data.batches import read_batches
from landscape.core.data.subsample import sample

X = torch.arange(40.0).reshape(20, 2)
Y = torch.arange(20)


class Counted(Dataset):
    """Remembers what of it was read."""

    def __init__(self):
        self.read = []

    def __len__(self):
        return 20

    def __getitem__(self, index):
        self.read.append(index)
        return X[index], Y[index]


def targets(data, examples=6):
    return [int(t) for batch in read_subset(data, examples, 4) for t in batch.target]


def test_of_data_with_indices_the_examples_that_a_zoo_takes_and_no_others_are_read():
    """Oracle: `sample` of all the data, which a manifest's ``examples`` takes."""
    device = torch.device("cpu")
    batches = sample(read_batches((X, Y), batch_size=4, device=device, dtype=None), 6)
    expected = [int(t) for batch in batches for t in batch.target]
    counted = Counted()
    assert targets((X, Y)) == targets(TensorDataset(X, Y)) == targets(counted) == expected
    assert sorted(counted.read) == sorted(expected)
    assert targets(Counted(), 100) == list(range(20))


def test_of_a_loader_some_of_the_batches_that_come_first():
    counted = Counted()
    found = targets(DataLoader(counted, batch_size=4))
    assert len(set(found)) == 6
    assert max(found) <= max(counted.read) == 7
    assert targets(iter([(X[:6], Y[:6]), None])) == list(range(6))  # nothing behind is read


def test_a_list_of_batches_is_read_whole():
    assert len(targets([(X[:10], Y[:10]), (X[10:], Y[10:])])) == 6
