"""Rules for operations that only rearrange, held against the operations themselves."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from equivariance import check_equivariance, trace

from landscape.core.symmetry.axis_terms import resolve

CASES = {
    "flatten": (lambda x: x.flatten(1), [(2, 3, 4)], [2, 3, 4]),
    "unflatten": (lambda x: x.reshape(2, 3, 4), [(2, 12)], [2, 3, 4]),
    "regroup": (lambda x: x.reshape(6, 4), [(2, 12)], [2, 3, 4]),
    "cut across": (lambda x: x.reshape(4, 6), [(3, 8)], []),
    "permute": (lambda x: x.permute(2, 0, 1), [(2, 3, 4)], [2, 3, 4]),
    "transpose": (lambda x: x.transpose(0, -1), [(2, 3, 4)], [2, 3, 4]),
    "squeeze": (lambda x: x.unsqueeze(1).squeeze(1), [(2, 3)], [2, 3]),
    "expand": (lambda x: x.expand(4, 3, 2), [(3, 1)], [3]),
    "repeat": (lambda x: x.repeat(2, 3), [(4, 5)], [4, 5]),
    "slice": (lambda x: x[:, 1:4], [(2, 6)], [2, 2, 3]),
    "strided slice": (lambda x: x[:, ::2], [(2, 6)], [2]),
    "split": (lambda x: torch.cat(x.split([2, 3], 1)[::-1], 1), [(4, 5)], [2, 3, 4]),
    "concatenate": (lambda x, y: torch.cat([x, y], 1), [(2, 3), (2, 4)], [2, 3, 4]),
    "gated": (lambda x: F.glu(x, 1), [(2, 6)], [2, 3]),
    "stack": (lambda x, y: torch.stack([x, y], 1).relu(), [(3, 4), (3, 4)], [3, 3, 4, 4]),
    "pad": (lambda x: F.pad(x, (1, 2)), [(2, 3)], [2, 3]),
    "crop": (lambda x: F.pad(x, (-1, 0)), [(2, 3)], [2]),
    "pixel shuffle": (lambda x: F.pixel_shuffle(x, 2), [(2, 12, 3, 3)], [2, 3]),
    "unfold": (lambda x: F.unfold(x, 2), [(2, 3, 4, 4)], [2, 3]),
    "index select": (lambda x: x.index_select(1, torch.tensor([2, 0])), [(2, 3)], [2]),
    "look up": (lambda x: x[torch.tensor([[1, 0], [2, 2]])], [(3, 4)], [4]),
}


@pytest.mark.parametrize("name", CASES)
def test_what_may_be_permuted_commutes_with_the_operation(name):
    """Oracle: the operation run on permuted arguments; the sizes of what may move, found by hand."""
    function, shapes, sizes = CASES[name]
    generator = torch.Generator().manual_seed(0)
    tensors = [torch.rand(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    free = check_equivariance(function, *tensors)
    assert sorted(symbol.extent for symbol in free) == sizes


def test_what_lies_beside_an_indexed_axis_may_differ_by_index():
    """Oracle: queries and values are not multiplied with each other, so each has an order of its own."""

    def attend(x, w):
        q, k, v = (x @ w).view(5, 3, 4).unbind(1)
        return (q @ k.T) @ v

    generator = torch.Generator().manual_seed(0)
    x, w = (torch.rand(s, generator=generator, dtype=torch.float64) for s in ((5, 2), (2, 12)))
    free = check_equivariance(attend, x, w)
    assert sorted(symbol.extent for symbol in free) == [2, 4, 4, 5]


def test_pieces_that_go_in_step_share_an_order():
    """Oracle: the two halves of a gated unit are multiplied entry by entry."""
    x = torch.rand(2, 6, dtype=torch.float64)
    tracer, _ = trace(lambda x: x[:, :3] * x[:, 3:], x)
    first, second = resolve(tracer.axes_of(x)[1]).parts
    assert first is second and not first.why
