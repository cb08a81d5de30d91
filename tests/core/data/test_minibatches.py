"""Mini-batches: fair ones where the examples can be mixed, honest ones where they cannot."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from landscape.core.data.batches import read_batches
from landscape.core.data.minibatches import split_into_minibatches
from landscape.errors import InputError


def read(data, size=64):
    return read_batches(data, batch_size=size, device=torch.device("cpu"), dtype=None)


def dealt(batches, size, shuffle=None, seed=0):
    return split_into_minibatches(batches, size, shuffle=shuffle, generator=np.random.default_rng(seed))


def numbers(n):
    """Examples that carry their own numbers."""
    return torch.arange(n)[:, None], torch.zeros(n)


def test_every_mini_batch_holds_the_examples_it_names():
    """Oracle: the examples carry their own numbers; 40 of 43, each once; another seed, another order."""
    mini = dealt(read(numbers(43), 7), 8)
    assert mini.shuffled
    assert mini.members.shape == (5, 8) == (len(mini), 8)
    assert len(np.unique(mini.members)) == 40
    for number, members in enumerate(mini.members):
        assert mini[number].inputs[:, 0].tolist() == members.tolist()
    assert mini.members.tolist() != dealt(read(numbers(43)), 8, seed=1).members.tolist()


def test_classes_are_mixed_though_the_data_is_sorted():
    """Oracle: the hypergeometric law: one of ten classes in 16 examples with a chance of about 10⁻¹⁵."""
    y = np.arange(1000) // 100
    kinds = [len(np.unique(y[m])) for m in dealt(read(numbers(1000)), 16).members]
    assert min(kinds) > 1
    assert np.mean(kinds) == pytest.approx(10 * (1 - 0.9**16), abs=0.4)
    assert {len(np.unique(y[m])) for m in dealt(read(numbers(1000)), 10, shuffle=False).members} == {1}


def test_the_data_s_order_on_request():
    """Oracle: counting; batches of the data are no borders."""
    mini = dealt(read(numbers(11), 4), 3, shuffle=False)
    assert not mini.shuffled
    assert mini.members.tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert dealt(read(numbers(4)), 16).members.shape == (1, 4)


def sequences():
    """Batches of 5, 2 and 4 sequences, as long as the longest of each."""
    starts = (0, 5, 7, 11)
    return [
        (torch.arange(a, b)[:, None].expand(b - a, length).clone(), torch.zeros(b - a))
        for a, b, length in zip(starts, starts[1:], (3, 6, 4), strict=False)
    ]


@pytest.mark.parametrize("shuffle", [None, False])
def test_batches_that_differ_in_form_are_cut_one_by_one(shuffle):
    """Oracle: counting: the fifth of the first batch has no partner; sequences keep the length of theirs."""
    mini = dealt(read(sequences()), 2, shuffle)
    assert not mini.shuffled
    assert mini.members.tolist() == [[0, 1], [2, 3], [5, 6], [7, 8], [9, 10]]
    for number, members in enumerate(mini.members):
        assert mini[number].inputs[:, 0].tolist() == members.tolist()
    assert [mini[i].inputs.shape[1] for i in range(5)] == [3, 3, 6, 4, 4]


def test_batches_that_cannot_be_cut_serve_whole():
    """Oracle: the batches as given, each with edges that belong to no example."""
    given = [{"x": torch.zeros(3, 2), "edges": torch.zeros(n, 2), "y": torch.zeros(3)} for n in (4, 7)]
    mini = dealt(read(given), 3)
    assert mini.members.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert [len(mini[i].inputs["edges"]) for i in range(2)] == [4, 7]
    with pytest.raises(InputError, match=r"3 examples cannot be cut into mini-batches of 2.*batches of 2"):
        dealt(read(given), 2)


def test_what_cannot_be_dealt():
    """Oracle: the words of the sentences."""
    with pytest.raises(InputError, match=r"differ in form.*leave shuffle out"):
        dealt(read(sequences()), 2, shuffle=True)
    with pytest.raises(InputError, match=r"no batch of the data has 6 examples.*smaller"):
        dealt(read(sequences()), 6)
