"""Named parameters and the flat vector: order, views, globs, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import Tied, mlp
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from landscape.core.problem.parameters import ParameterSpace, select_parameters
from landscape.errors import InputError

shapes = st.lists(st.lists(st.integers(0, 4), max_size=3).map(tuple), min_size=1, max_size=5)


@given(shapes, st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_flatten_is_numpy_concatenation_and_unflatten_its_inverse(shapes, seed):
    """Oracle: ``numpy.concatenate`` of raveled arrays; and the round trip gives the same bits."""
    rng = np.random.default_rng(seed)
    arrays = {f"p{i}": rng.normal(size=s) for i, s in enumerate(shapes)}
    tensors = {n: torch.tensor(a) for n, a in arrays.items()}
    space = ParameterSpace.of(tensors)
    flat = space.flatten(tensors)
    expected = np.concatenate([a.ravel() for a in arrays.values()])
    assert space.size == len(expected) == len(flat)
    assert flat.numpy().tobytes() == expected.tobytes()
    back = space.unflatten(flat)
    assert all(torch.equal(back[n], tensors[n]) for n in tensors)
    assert torch.equal(space.flatten(list(back.values())), flat)


@given(shapes, st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_a_block_is_unflattened_column_by_column(shapes, k):
    """Oracle: unflattening each column alone, for row-major and column-major blocks."""
    space = ParameterSpace.of({f"p{i}": torch.zeros(s) for i, s in enumerate(shapes)})
    rows = torch.arange(float(space.size * k)).view(k, space.size)
    for block in (rows.T, rows.T.contiguous()):
        pieces = space.unflatten(block)
        for column in range(k):
            alone = space.unflatten(block[:, column])
            assert all(torch.equal(pieces[n][..., column], alone[n]) for n in space.names)


def test_unflatten_gives_views_and_flatten_a_copy():
    """Oracle: writing through one must or must not show in the other."""
    space = ParameterSpace.of({"a": torch.zeros(2, 2), "b": torch.zeros(3)})
    vector = torch.arange(7.0)
    space.unflatten(vector)["b"].fill_(9.0)
    assert vector.tolist() == [0, 1, 2, 3, 9, 9, 9]
    source = {"a": torch.zeros(2, 2), "b": torch.zeros(3)}
    space.flatten(source).fill_(1.0)
    assert not source["a"].any()


def test_names_are_matched_not_positions():
    """Oracle: the declared order; the order of the mapping must not matter."""
    space = ParameterSpace.of({"a": torch.zeros(1), "b": torch.zeros(1)})
    assert space.flatten({"b": torch.tensor([2.0]), "a": torch.tensor([1.0])}).tolist() == [1, 2]


def test_non_contiguous_tensors_keep_their_logical_order():
    """Oracle: the entries of a transposed matrix, written out."""
    space = ParameterSpace.of({"w": torch.zeros(2, 3)})
    assert space.flatten([torch.arange(6.0).view(3, 2).T]).tolist() == [0, 2, 4, 1, 3, 5]


@pytest.mark.parametrize(
    ("do", "words"),
    [
        (lambda s: s.flatten({"a": torch.zeros(2)}), "lacks parameter 'b'"),
        (lambda s: s.flatten([torch.zeros(2), torch.zeros(4)]), r"'b' has shape \(4,\), not \(3,\)"),
        (lambda s: s.unflatten(torch.zeros(4)), "4 entries does not fit 5 parameters"),
        (lambda s: ParameterSpace.of({}), "no parameters"),
        (lambda s: ParameterSpace.of({"a": torch.zeros(1), "b": torch.zeros(1).double()}), "mix dtypes"),
    ],
)
def test_what_does_not_fit_is_refused(do, words):
    """Oracle: the sentence names what is wrong."""
    space = ParameterSpace.of({"a": torch.zeros(2), "b": torch.zeros(3)})
    with pytest.raises(InputError, match=words):
        do(space)


# Choosing parameters


def test_all_trainable_ones_by_default():
    """Oracle: the names, written out."""
    model = mlp()
    model[0].weight.requires_grad_(False)
    assert select_parameters(model, None) == ("0.bias", "2.weight", "2.bias")


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        ("0.*", ("0.weight", "0.bias")),
        (["*.bias", "0.weight"], ("0.weight", "0.bias", "2.bias")),
        (("2.bias", "0.bias"), ("0.bias", "2.bias")),
        ((p for p in ["2.*"]), ("2.weight", "2.bias")),
    ],
)
def test_globs_choose_in_the_order_of_the_model(patterns, names):
    """Oracle: the names, written out."""
    assert select_parameters(mlp(), patterns) == names


def test_a_glob_takes_frozen_parameters_too():
    """Oracle: the docstring's promise."""
    model = mlp().requires_grad_(False)
    assert select_parameters(model, "0.*") == ("0.weight", "0.bias")


def test_a_tied_weight_is_found_under_either_name_and_counted_once():
    """Oracle: both names are the same Parameter, so both globs must choose it, under its first name."""
    model = Tied()
    assert select_parameters(model, None) == ("encoder.weight", "encoder.bias", "decoder.bias")
    assert select_parameters(model, "decoder.*") == ("encoder.weight", "decoder.bias")
    assert select_parameters(model, "decoder.weight") == ("encoder.weight",)


class Odd(nn.Module):
    def __init__(self):
        super().__init__()
        self.phase = nn.Parameter(torch.zeros(2, dtype=torch.complex64))
        self.index = nn.Parameter(torch.zeros(2, dtype=torch.int64), requires_grad=False)


@pytest.mark.parametrize(
    ("model", "patterns", "words"),
    [
        (mlp(), "0.wieght", "no parameter of Sequential matches '0.wieght'; did you mean '0.weight'"),
        (mlp(), ["0.*", "5.*"], "matches '5.*'"),
        (mlp(), [], "empty list"),
        (nn.ReLU(), None, "ReLU has no trainable parameter"),
        (mlp().requires_grad_(False), None, "unfreeze some or name them"),
        (Odd(), "phase", "'phase' is torch.complex64; only real floats"),
        (Odd(), "index", "'index' is torch.int64"),
    ],
)
def test_useless_choices_are_refused(model, patterns, words):
    """Oracle: the sentence names the pattern or the parameter and a way out."""
    with pytest.raises(InputError, match=words):
        select_parameters(model, patterns)
