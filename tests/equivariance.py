"""Permutations of traced axes carried out on tensors, to hold a trace against the operation itself."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from landscape.core.symmetry.axis_terms import Symbol, leaves
from landscape.core.symmetry.groups import blocks_of, equate_members
from landscape.core.symmetry.rules import rule_for
from landscape.core.symmetry.trace import Axes, Tracer, plain_operations


def permuted(tensor: Tensor, axes: Axes, orders: dict[Symbol, Tensor]) -> Tensor:
    """The tensor with every symbol's positions in a new order; symbols that may not move stay."""
    moved = tensor.clone()
    for block in blocks_of(axes):
        places, sources = [], []
        for segment in block:
            index = segment.index
            for axis, symbol in enumerate(segment.symbols):
                index = index.index_select(axis, orders.get(symbol, torch.arange(symbol.extent)))
            places.append(segment.index.reshape(-1))
            sources.append(index.reshape(-1))
        moved[torch.meshgrid(*places, indexing="ij")] = tensor[torch.meshgrid(*sources, indexing="ij")]
    return moved


def trace(function: Callable[..., Tensor], *tensors: Tensor) -> tuple[Tracer, Tensor]:
    """Run a function of named tensors under a tracer; the tracer and the result."""
    named = {str(i): tensor for i, tensor in enumerate(tensors)}
    tracer = Tracer(named, [], rule_for, lambda: "a test")
    with plain_operations(nn.Identity(), []), tracer:
        out = function(*tensors)
    equate_members(tracer.seen, tracer.mixed)
    return tracer, out


def free_symbols(tracer: Tracer, *tensors: Tensor) -> set[Symbol]:
    """The symbols on some tensors whose order may change."""
    found = set()
    for tensor in tensors:
        for block in blocks_of(tracer.axes_of(tensor)):
            found |= {symbol for segment in block for symbol in segment.symbols}
        found |= {symbol for term in tracer.axes_of(tensor) for symbol in leaves(term)}
    return {symbol for symbol in found if not symbol.why and symbol.extent > 1 and not symbol.members}


def check_equivariance(function: Callable[..., Tensor], *tensors: Tensor, seed: int = 0) -> set[Symbol]:
    """Assert that permuting the free axes of the arguments permutes the result; the free symbols."""
    tracer, out = trace(function, *tensors)
    assert not tracer.opaque
    free = free_symbols(tracer, *tensors)
    generator = torch.Generator().manual_seed(seed)
    orders = {s: torch.randperm(s.extent, generator=generator) for s in sorted(free, key=lambda s: s.id)}
    again = function(*(permuted(t, tracer.axes_of(t), orders) for t in tensors))
    expected = permuted(out, tracer.axes_of(out), orders)
    torch.testing.assert_close(again, expected, rtol=1e-10, atol=1e-12)
    return free
