"""Groups from terms: which symbols stand together, and what may differ by index."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from landscape.core.symmetry.axis_terms import Prod, Symbol
from landscape.core.symmetry.groups import TensorBlock, blocks_of, equate_members, find_groups
from landscape.core.symmetry.symmetry import find_symmetry


def test_groups_of_terms_written_by_hand():
    """Oracle: heads and channels by hand: channels move within each head, heads do not turn."""
    heads, width, model = Symbol(2), Symbol(3), Symbol(6, "the output")
    named = {"value": (Prod((heads, width)), model), "project": (model, Prod((heads, width)))}
    seen = [*named.values(), (Prod((heads, width)),), (model,)]  # as features have them
    groups, numbers = find_groups(named, seen, [], [])
    assert {g.size: g.within for g in groups if g.free} == {2: (), 3: (numbers[heads],)}
    assert groups[numbers[width]].linear and not groups[numbers[heads]].linear
    assert groups[numbers[model]].why == "the output" and not groups[numbers[model]].free
    assert groups[numbers[heads]].name == "value[0]/0" and groups[numbers[width]].name == "value[0]/1"


def test_what_is_mixed_has_one_order():
    """Oracle: if positions along the heads act on each other, channels cannot differ by head."""
    heads, width = Symbol(2), Symbol(3)
    named = {"w": (heads, width)}
    groups, numbers = find_groups(named, named.values(), [((heads,), (width,))], [])
    assert groups[numbers[width]].within == ()
    groups, numbers = find_groups(named, named.values(), [], [(width,)])
    assert groups[numbers[width]].within and not groups[numbers[width]].linear


@pytest.mark.parametrize("apart", [True, False])
def test_members_stay_apart_only_beside_their_axis(apart):
    """Oracle: an axis that also stands where the indexed one does not has one order at all indices."""
    outer, axis = Symbol(2, "indexed"), Symbol(3)
    axis.members = {(outer, i): Symbol(3) for i in range(2)}
    seen = [(outer, axis)] if apart else [(outer, axis), (axis,)]
    equate_members(seen, [])
    assert bool(axis.members) == apart
    sizes = [[segment.index.numel() for segment in block] for block in blocks_of((outer, axis))]
    assert sizes == ([[1, 3], [1, 3]] if apart else [[2, 3]])


def test_blocks_take_and_put_their_own_entries():
    """Oracle: slicing by hand."""
    x = torch.arange(12.0).reshape(3, 4)
    block = TensorBlock((torch.tensor([0, 2]), torch.tensor([1, 3])), (0, 1), (0, 1), (2, 2), whole=False)
    assert torch.equal(block.take(x), x[[0, 2]][:, [1, 3]])
    changed = x.clone()
    block.put(changed, torch.zeros(2, 2))
    assert changed[::2, 1::2].eq(0).all() and torch.equal(changed[1], x[1])
    assert torch.equal(changed[:, 0], x[:, 0])


def test_a_skip_connection_joins_what_it_adds():
    """Oracle: by hand: input and output of a residual branch are one group, its inside another."""

    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.up, self.down = nn.Linear(2, 3), nn.Linear(3, 5), nn.Linear(5, 3)
            self.head = nn.Linear(3, 2)

        def forward(self, x):
            x = self.stem(x)
            return self.head(x + self.down(self.up(x).relu()))

    symmetry = find_symmetry(Residual(), torch.zeros(2, 2))
    places = {symmetry.groups[n].size: {p for p, _ in symmetry.groups[n].places} for n in symmetry.free}
    assert places[3] == {"stem.weight", "stem.bias", "up.weight", "down.weight", "down.bias", "head.weight"}
    assert places[5] == {"up.weight", "up.bias", "down.weight"}
