"""One copy of the same numbers: who shares, who does not, and that nothing is kept that nobody holds."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from cases import mlp, vectors
from torch import nn

from landscape import Problem
from landscape.core.data.shared_copies import one_copy, same_bits, shared_copies
from landscape.core.data.trees import tensors_in


@pytest.fixture
def shared():
    with shared_copies():
        yield


def test_problems_made_by_hand_hold_their_own():
    """Oracle: the numbers before; whoever writes to the data of one problem leaves the other as it was."""
    x, y = vectors()
    one, two = (Problem(mlp(), "cross_entropy", (x, y)) for _ in range(2))
    before = two.batches[0].inputs.clone()
    one.batches[0].inputs[0] = torch.inf
    assert torch.equal(two.batches[0].inputs, before)


@pytest.mark.usefixtures("shared")
def test_problems_on_the_same_data_hold_the_same_tensors():
    """Oracle: identity, however the data comes; another entry anywhere makes another tensor."""
    x, y = vectors()
    x = x.float()
    one, two = (Problem(mlp(), "cross_entropy", (x, y), batch_size=5) for _ in range(2))
    assert all(a.raw[i] is b.raw[i] for a, b in zip(one.batches, two.batches, strict=True) for i in (0, 1))
    loaded = Problem(mlp(), "cross_entropy", list(zip(x.clone().split(5), y.split(5), strict=True)))
    assert loaded.batches[1].inputs is one.batches[1].inputs
    changed = x.clone()
    changed[7, 3] += 1e-3
    other = Problem(mlp(), "cross_entropy", (changed, y), batch_size=5)
    assert other.batches[0].inputs is one.batches[0].inputs
    assert other.batches[1].inputs is not one.batches[1].inputs
    assert torch.equal(other.batches[1].inputs, changed[5:10])


@pytest.mark.usefixtures("shared")
def test_what_a_conversion_makes_is_shared_too():
    """Oracle: identity; float64 becomes the model's float32 in each problem by itself."""
    x = torch.randn(6, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    one, two = (Problem(model, "cross_entropy", (x, torch.arange(6) % 3)) for _ in range(2))
    assert one.batches[0].inputs.dtype == torch.float32
    assert one.batches[0].inputs is two.batches[0].inputs


@pytest.mark.usefixtures("shared")
def test_the_data_of_a_problem_stays_as_it_was():
    """Oracle: the numbers before; the caller writes to what was given, a model to what it gets."""
    x, y = vectors()
    x = x.float()
    kept = x.clone()
    before = Problem(mlp(), "cross_entropy", (x, y))
    x.add_(1.0)
    after = Problem(nn.Sequential(nn.ReLU(inplace=True), mlp()), "cross_entropy", (x, y))
    after.loss()
    assert torch.equal(before.batches[0].inputs, kept)
    assert torch.equal(after.batches[0].inputs, kept + 1.0)


@pytest.mark.usefixtures("shared")
def test_inputs_and_targets_are_never_one():
    """Oracle: identity; whoever replaces the inputs of an autoencoder must not replace its targets."""
    x = torch.randn(4, 3)
    inputs, targets = one_copy((x.clone(), x.clone()))
    assert inputs is not targets
    again = one_copy((x.clone(), x.clone()))
    assert again[0] is inputs and again[1] is targets


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (torch.tensor([0.0, 1.0]), torch.tensor([-0.0, 1.0]), False),
        (torch.tensor([float("nan"), 1.0]), torch.tensor([float("nan"), 1.0]), True),
        (torch.tensor([1, 2]), torch.tensor([1.0, 2.0]), False),
        (torch.ones(2, 3), torch.ones(3, 2), False),
        (torch.ones(2, dtype=torch.complex64), torch.ones(2, dtype=torch.complex64), True),
        (torch.ones(2).bool(), torch.ones(2).bool(), True),
        (torch.ones(2).half(), torch.ones(2).half(), True),
        (torch.tensor(1.0), torch.tensor(1.0), False),  # too small to matter
        (torch.ones(3, 2).T, torch.ones(3, 2).T, False),  # their order in memory is kept
    ],
)
def test_the_same_bits_in_the_same_form(a, b, same):
    """Oracle: by hand."""
    first, second = one_copy(a), one_copy(b)
    assert (first is second) == same == same_bits(a, b)
    assert first is a


@pytest.mark.usefixtures("shared")
def test_nothing_is_kept_that_nobody_holds():
    """Oracle: a weak reference dies with the problem, on numbers that no other test holds."""
    x, y = vectors(19)
    problem = Problem(mlp(), "cross_entropy", (x + 0.7, y.flip(0)))
    refs = [weakref.ref(t) for _, t in tensors_in(problem.batches[0].raw)]
    assert all(ref() is not None for ref in refs)
    del problem
    gc.collect()
    assert all(ref() is None for ref in refs)
