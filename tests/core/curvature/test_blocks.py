"""Diagonal blocks of curvature matrices against those cut out of the whole matrix."""

from __future__ import annotations

import pytest
import torch
from cases import CASES, generator

import landscape
from landscape.core.curvature.blocks import Entries
from landscape.core.problem.parameters import group_parameters
from landscape.errors import InputError

PARTS = {"heads": ["head.*"], "rest": ["norm.*", "qkv.*", "out.*", "[te]*"]}


def rows(problem, names):
    """Positions of parameters in the flat vector."""
    places = problem.space.unflatten(torch.arange(problem.size))
    return torch.cat([places[name].reshape(-1) for name in names])


@pytest.mark.parametrize(
    ("make", "by"),
    [
        (landscape.hessian, "parameter"),
        (landscape.hessian, PARTS),
        (landscape.ggn, "module"),
        (landscape.empirical_fisher, "module"),
    ],
)
def test_blocks_are_those_of_the_whole_matrix(make, by):
    """Oracle: rows and columns cut out of the dense matrix."""
    problem = CASES["attention"].problem(weight_decay=0.1, batch_size=7)
    whole = make(problem)
    dense = whole.dense()
    blocks = whole.blocks(by)
    assert sum(b.size for b in blocks.values()) == problem.size
    diagonal = torch.zeros_like(dense)
    for block in blocks.values():
        places = rows(problem, block.names)
        part = dense[places[:, None], places]
        torch.testing.assert_close(block.dense(), part, rtol=1e-10, atol=1e-13)
        diagonal[places[:, None], places] = part
    torch.testing.assert_close(whole.block_diagonal(by).dense(), diagonal, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("name", ["conv_batchnorm", "tied", "frozen", "transformer_dict"])
def test_blocks_of_the_exact_hessian(name):
    """Oracle: the exact Hessian by entrywise double differentiation."""
    problem, exact = CASES[name].problem(), CASES[name].exact_hessian()
    for block in landscape.hessian(problem).blocks("parameter").values():
        places = rows(problem, block.names)
        part = exact[places[:, None], places]
        torch.testing.assert_close(block.dense(), part, rtol=1e-9, atol=1e-13)


def test_blocks_share_the_graphs_of_the_whole():
    """Oracle: whether the whole keeps graphs after products with its blocks; same numbers as without."""
    problem = CASES["mlp"].problem()
    keeping, fresh = (landscape.hessian(problem, memory_budget=b) for b in (1 << 30, 0))
    v = torch.randn(25, 2, generator=generator(1), dtype=torch.float64)
    for _ in range(3):
        assert torch.equal(keeping.blocks()["0"] @ v, fresh.blocks()["0"] @ v)
    assert keeping.keeps_graphs


def test_chosen_blocks_only():
    """Oracle: names; parameters in no glob are left out of blocks, and refused in a block diagonal."""
    H = landscape.hessian(CASES["mlp"].problem())
    assert {name: b.names for name, b in H.blocks(["0.*", "2.bias"]).items()} == {
        "0.*": ("0.weight", "0.bias"),
        "2.bias": ("2.bias",),
    }
    assert [b.size for b in H.blocks("*.bias").values()] == [8]
    with pytest.raises(InputError, match=r"parameter '2.weight' is in no group"):
        H.block_diagonal("0.*")


def test_groups_that_cannot_be():
    """Oracle: each sentence names the glob or the parameter."""
    names = ["a.weight", "a.bias"]
    with pytest.raises(InputError, match=r"no parameter matches 'a.wieght'; did you mean 'a.weight'"):
        group_parameters(names, ["a.wieght"])
    with pytest.raises(InputError, match=r"'a.bias' is in the groups 'one' and 'two'"):
        group_parameters(names, {"one": "a.*", "two": "*.bias"})


def test_some_entries_of_a_block():
    """Independent: rows and columns of the whole matrix."""
    problem = CASES["mlp"].problem()
    H = landscape.hessian(problem)
    index = torch.tensor([7, 2, 11])
    found = Entries(H, index)
    assert found.size == 3
    torch.testing.assert_close(found.dense(), H.dense()[index][:, index])
