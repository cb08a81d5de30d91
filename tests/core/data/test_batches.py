"""Batches: every form of data gives the same numbers, is read once, and is never written to."""

from __future__ import annotations

import copy

import pytest
import torch
from cases import generator, mlp, pairs, sentences, uneven, vectors
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from landscape import Problem
from landscape.core.data.batches import Batch, Examples, read_batches, tensors_in
from landscape.errors import InputError

CPU = torch.device("cpu")


def read(data, batch_size=256, dtype=None):
    return read_batches(data, batch_size=batch_size, device=CPU, dtype=dtype)


class Stream(IterableDataset):
    def __iter__(self):
        yield from zip(*vectors(), strict=True)


class Rows(Dataset):
    """Examples as mappings with a Python int as label."""

    def __len__(self):
        return 13

    def __getitem__(self, i):
        x, y = vectors()
        return {"input": x[i], "label": int(y[i])}


FORMS = {
    "tensors": lambda: vectors(),
    "list of batches": lambda: list(uneven(vectors(), [5, 1, 7])),
    "tuple of batches": lambda: tuple(uneven(vectors(), [6, 7])),
    "batches as lists": lambda: [list(b) for b in uneven(vectors(), [6, 7])],
    "generator": lambda: uneven(vectors(), [4, 9]),
    "dataset": lambda: TensorDataset(*vectors()),
    "iterable dataset": lambda: Stream(),
    "loader": lambda: DataLoader(TensorDataset(*vectors()), batch_size=4),
    "dataset of mappings": lambda: Rows(),
    "mapping": lambda: dict(zip(("input", "labels"), vectors(), strict=True)),
    "mappings": lambda: [dict(zip(("input", "y"), b, strict=True)) for b in uneven(vectors(), [6, 7])],
}


class Keyword(nn.Module):
    """An MLP that takes its input by position or as the keyword ``input``."""

    def __init__(self):
        super().__init__()
        self.net = mlp()

    def forward(self, input):
        return self.net(input)


def keyword_model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Keyword().double()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("batch_size", [4, 256])
def test_every_form_gives_the_same_loss_and_gradient(form, batch_size):
    """Oracle: plain torch on the whole data."""
    model = keyword_model()
    x, y = vectors()
    expected = nn.functional.cross_entropy(model(x), y)
    expected.backward()
    gradient = torch.cat([p.grad.reshape(-1) for p in model.parameters()])
    problem = Problem(keyword_model(), "cross_entropy", FORMS[form](), batch_size=batch_size)
    assert problem.examples == 13
    assert problem.loss() == pytest.approx(expected.item(), rel=1e-14)
    torch.testing.assert_close(problem.gradient(), gradient, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("form", FORMS)
def test_order_is_kept(form):
    """Oracle: the targets, 0 1 2 0 1 2 ..., in order."""
    targets = torch.cat([b.target for b in read(FORMS[form](), 4)])
    assert targets.tolist() == [i % 3 for i in range(13)]


def test_a_shuffled_loader_is_read_once():
    """Oracle: a second reading would give another order, another gradient by rounding, another hash."""
    loader = DataLoader(TensorDataset(*vectors()), batch_size=4, shuffle=True)
    problem = Problem(mlp().double(), "cross_entropy", loader)
    first = problem.gradient(), problem.fingerprint(), problem.measure().losses
    second = problem.gradient(), problem.fingerprint(), problem.measure().losses
    assert torch.equal(first[0], second[0])
    assert first[1] == second[1]
    assert torch.equal(first[2], second[2])


def test_drop_last_and_uneven_batches_are_counted_as_they_come():
    """Oracle: counting."""
    data = TensorDataset(*vectors())
    assert [b.size for b in read(DataLoader(data, batch_size=5))] == [5, 5, 3]
    assert [b.size for b in read(DataLoader(data, batch_size=5, drop_last=True))] == [5, 5]
    assert [b.size for b in read(vectors(), 5)] == [5, 5, 3]
    x, y = vectors()
    assert [b.size for b in read([(x[:0], y[:0]), (x[:2], y[:2])])] == [2]


def test_a_buffer_that_a_generator_reuses_is_copied():
    """Oracle: batches kept as they were when given; loaders often refill one buffer."""

    def refill():
        x, y = torch.zeros(2, 4), torch.zeros(2, dtype=torch.int64)
        for value in range(3):
            x.fill_(value)
            y.fill_(value)
            yield x, y

    assert [b.inputs[0, 0].item() for b in read(refill())] == [0.0, 1.0, 2.0]
    assert [b.target[0].item() for b in read(refill())] == [0, 1, 2]


def test_later_changes_to_the_callers_data_do_not_matter():
    """Oracle: the same loss, bit for bit."""
    x, y = vectors()
    problem = Problem(mlp().double(), "cross_entropy", (x, y))
    before = problem.loss()
    x.zero_()
    assert problem.loss() == before


class WritesItsInput(nn.Module):
    """Standardises its input in place: legal, and common in research code."""

    def __init__(self):
        super().__init__()
        self.net = mlp()

    def forward(self, x):
        x -= 1.0
        x *= 0.5
        return self.net(x)


@pytest.mark.parametrize("batch_size", [4, 256])
def test_a_model_that_writes_to_its_input_spoils_neither_data_nor_result(batch_size):
    """Oracle: plain torch on a copy; the caller's data keeps its bits; the hash of the data stays."""
    model = WritesItsInput().double()
    x, y = vectors()
    kept = x.clone()
    expected = nn.functional.cross_entropy(model(x.clone()), y).item()
    problem = Problem(model, "cross_entropy", (x, y), batch_size=batch_size)
    hashes = problem.fingerprint()
    assert [problem.loss() for _ in range(3)] == [pytest.approx(expected, rel=1e-14)] * 3
    assert problem.fingerprint() == hashes
    assert torch.equal(x, kept)


def test_several_inputs_and_nested_ones_are_split_with_the_targets():
    """Oracle: slices of the given tensors."""
    a, b, y = pairs()
    for data in ((a, b, y), ((a, b), y)):
        batches = read(data, 6)
        assert torch.equal(torch.cat([t.inputs[1] for t in batches]), b)
        assert [t.size for t in batches] == [6, 6, 1]
    batches = read(({"a": a, "b": b}, y), 6)
    assert torch.equal(batches[1].inputs["b"], b[6:12])
    batches = read(sentences(), 6)
    assert set(batches[0].inputs) == {"ids", "padding"}
    assert torch.equal(batches[2].target, sentences()["labels"][12:])


def test_only_floating_tensors_are_converted():
    """Oracle: the dtypes, written out."""
    (batch,) = read((vectors()[0], vectors()[1]), dtype=torch.float32)
    assert (batch.inputs.dtype, batch.target.dtype) == (torch.float32, torch.int64)
    (batch,) = read(vectors())
    assert batch.inputs.dtype == torch.float64


def test_data_that_carries_a_graph_is_detached():
    """Oracle: no gradient reaches the caller's tensor."""
    x, y = vectors()
    x.requires_grad_()
    problem = Problem(mlp().double(), "cross_entropy", (x, y))
    problem.gradient()
    assert x.grad is None
    assert not problem.batches[0].inputs.requires_grad


def test_what_is_not_a_tensor_passes_through():
    """Oracle: the names given."""
    batches = read([{"input": torch.zeros(2, 1), "y": torch.zeros(2), "names": ["a", "b"]}])
    assert batches[0].inputs["names"] == ("a", "b")


def test_tensors_in_walks_nested_structures():
    """Oracle: the paths, written out."""
    tree = {"a": torch.zeros(1), "b": [torch.zeros(2), {"c": torch.zeros(3)}], "d": "text"}
    assert [name for name, _ in tensors_in(tree, "0")] == ["0.a", "0.b.0", "0.b.1.c"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ((torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)), "data is empty"),
        ([], "data is empty"),
        (iter(()), "data is empty"),
        (DataLoader(TensorDataset(torch.zeros(3, 1)), batch_size=8, drop_last=True), "data is empty"),
        (torch.zeros(3, 4), "single tensor; give \\(inputs, targets\\)"),
        (3, "type int cannot be read"),
        ((torch.zeros(3, 4), torch.zeros(2)), r"differ in length: \[2, 3\]"),
        (["abc"], "batch 0 holds no tensor"),
        ([(torch.zeros(2, 1), torch.zeros(2)), 5], "batch 1 holds no tensor"),
        (
            {"x": torch.zeros(3, 1), "y": torch.zeros(3), "scale": torch.tensor(2.0)},
            "'scale' .* no batch axis",
        ),
        ({}, "no tensor"),
    ],
)
def test_useless_data_is_refused(data, words):
    """Oracle: the sentence names the fault."""
    with pytest.raises(InputError, match=words):
        read(copy.copy(data))


def test_a_batch_size_below_one_is_refused():
    """Oracle: the sentence names the value."""
    with pytest.raises(InputError, match="batch size must be at least 1; got 0"):
        read(vectors(), 0)


def test_reading_uses_no_random_numbers():
    """Oracle: the state of the global generator."""
    state = torch.get_rng_state()
    for form in ("tensors", "dataset", "generator", "mapping"):
        read(FORMS[form]())
    assert torch.equal(torch.get_rng_state(), state)
    _ = generator(0)


def test_pieces_of_a_batch_are_consecutive_views():
    """Oracle: the examples counted off by hand; a batch with a tensor that is not by example stays whole."""
    x, y = torch.arange(14.0).view(7, 2), torch.arange(7)
    (batch,) = read({"x": x, "labels": y}, 9)
    pieces = batch.split(3)
    assert [p.size for p in pieces] == [3, 3, 1]
    assert torch.equal(torch.cat([p.inputs["x"] for p in pieces]), x)
    assert torch.equal(torch.cat([p.target for p in pieces]), y)
    assert (
        pieces[1].inputs["x"].untyped_storage().data_ptr() == batch.inputs["x"].untyped_storage().data_ptr()
    )
    assert batch.split(7)[0] is batch
    mixed = Batch((x, torch.ones(2), y), (x, torch.ones(2)), y, 7)
    assert mixed.split(3)[0] is mixed


def test_channels_last_moves_memory_only():
    """Oracle: equal numbers; strides of images change, nothing else does."""
    x, mask, y = torch.randn(2, 3, 4, 5), torch.ones(2, 3, 4, 5, dtype=torch.bool), torch.arange(2)
    batch = Batch((x, mask, y), (x, mask), y, 2).channels_last()
    assert torch.equal(batch.inputs[0], x)
    assert batch.inputs[0].stride() == (60, 1, 15, 3)
    assert batch.inputs[1].is_contiguous()
    assert batch.target is y


def test_channels_last_of_one_channel():
    """Oracle: strides; images of one channel count as laid either way, and torch goes by their strides."""
    x = torch.arange(24.0).reshape(2, 1, 3, 4)
    laid = Batch((x, x), x, x, 2).channels_last().inputs
    assert laid.stride() == (12, 1, 4, 1)
    assert torch.nn.Conv2d(1, 5, 1)(laid).is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(laid, x)


@pytest.mark.parametrize("index", [[12, 0, 5], [3, 3, 11, 4, 3], [0], list(range(13))])
def test_examples_are_those_of_the_joined_data(index):
    """Oracle: the rows of the data before it was cut, in the order asked for, those asked for twice twice."""
    x, y = vectors()
    examples = Examples(read(list(uneven((x, y), [5, 1, 7]))))
    index = torch.tensor(index)
    for _ in range(2):
        found = examples.take(index)
        assert torch.equal(found.inputs, x[index]) and torch.equal(found.target, y[index])
        assert found.size == len(index)


def test_examples_are_looked_for_in_their_own_batches_only():
    """Oracle: the batches that are indexed, counted: two examples of a hundred batches cost two."""
    touched = []

    class Watched(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            if func is torch.Tensor.__getitem__:
                touched.append(len(args[0]))
            return super().__torch_function__(func, types, args, kwargs or {})

    parts = [torch.full((3, 2), float(i)).as_subclass(Watched) for i in range(100)]
    examples = Examples([Batch(part, part, None, 3) for part in parts])
    touched.clear()
    found = examples.take(torch.tensor([250, 7]))
    assert found.inputs[:, 0].tolist() == [83.0, 2.0]
    assert touched[:3] == [3, 3, 2]  # two batches, and the two examples put in order
